"""From files and datasets to the documents of a corpus."""
