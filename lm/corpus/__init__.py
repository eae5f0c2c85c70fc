"""A corpus: documents, their labels and their tokens in one folder, and the windows that are read from it."""

from .corpus import Corpus, Labels

__all__ = ["Corpus", "Labels"]
