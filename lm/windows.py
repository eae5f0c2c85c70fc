"""Windows: the pieces of documents that a model trains on, numbered over a whole corpus without a table of them."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .corpus import Corpus
from .errors import InputError

PADDING = -100  # what torch's cross entropy ignores


class Windows:
    """All windows of at most `context` tokens of a corpus's documents, in order of document.

    A document of L tokens has ceil(L / context) windows. The last one is moved back to end with the document, so that
    it is full; only a document shorter than the context gives a partial window. first: (D + 1,) int64, the number of
    windows before each document.
    """

    def __init__(self, corpus: Corpus, context: int):
        if context < 1:
            raise InputError(f"context {context} given, expected at least 1 token")
        self.corpus, self.context = corpus, context
        self.first = np.zeros(corpus.num_documents + 1, np.int64)
        np.cumsum(-(-np.diff(corpus.token_offsets) // context), out=self.first[1:])
        self.num_windows = int(self.first[-1])

    def ids(self, documents: range) -> range:
        """The ids of the windows of a contiguous range of documents."""
        return range(int(self.first[documents.start]), int(self.first[documents.stop]))

    def document(self, ids: ArrayLike) -> NDArray[np.int64]:
        """The document of each window: ids of any shape -> the same shape."""
        return np.searchsorted(self.first, np.asarray(ids, np.int64), side="right") - 1

    def lengths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Tokens of each window: ids of any shape -> the same shape, int64."""
        document = self.document(ids)
        offsets = self.corpus.token_offsets
        return np.minimum(offsets[document + 1] - offsets[document], self.context)

    def fetch(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Tokens of windows: ids of any shape (...,) -> (..., context) int64, padded at the right with -100."""
        ids = np.asarray(ids, np.int64)
        if ids.size and (ids.min() < 0 or ids.max() >= self.num_windows):
            raise InputError(f"window id {ids.min()} or {ids.max()} given, expected 0 to {self.num_windows - 1}")
        document = self.document(ids)
        begin, end = self.corpus.token_offsets[document], self.corpus.token_offsets[document + 1]
        start = np.maximum(np.minimum(begin + (ids - self.first[document]) * self.context, end - self.context), begin)
        position = start[..., None] + np.arange(self.context)
        inside = position < end[..., None]
        tokens: NDArray[Any] = self.corpus.tokens[np.where(inside, position, 0)]
        return np.where(inside, tokens.astype(np.int64), PADDING)
