"""What the words of the command line mean, and the one line for a word that is not known."""
