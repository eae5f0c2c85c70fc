"""From other people's files to the documents of a corpus."""
