"""The commands that build, label and show a corpus."""
