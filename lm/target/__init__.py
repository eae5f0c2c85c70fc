"""One large language model in training, on one device or on many."""
