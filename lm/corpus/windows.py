"""Windows: the pieces of documents that a model trains on. Their ids need no table, however large the corpus."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..io.errors import InputError
from .corpus import Corpus

PADDING = -100  # what torch's cross entropy ignores
PART_BITS = 24  # of a window id: which window of its document; the bits above are the document
MAX_PARTS = 1 << PART_BITS


class Windows:
    """All windows of at most `context` tokens of a corpus's documents. A window's id holds its document and which of
    the document's windows it is: `document << PART_BITS | part`. Ids rise in the order of the corpus, with gaps.

    A document has its tokens / context windows, rounded up. The last one is moved back to end with the document, so
    that it is full; only a document shorter than the context gives a partial window.
    """

    def __init__(self, corpus: Corpus, context: int):
        if context < 1:
            raise InputError(f"context {context} given, expected at least 1 token")
        self.corpus, self.context = corpus, context

    def ids(self, documents: range) -> NDArray[np.int64]:
        """The ids of the windows of a contiguous range of documents, in order. They take 8 bytes each: too much for all
        of a large corpus. InputError: a document has more windows than an id can tell apart."""
        lengths = np.diff(self.corpus.token_offsets[documents.start : documents.stop + 1])
        parts = count_parts(lengths, self.context)
        before = np.cumsum(parts) - parts
        document, part = np.repeat(documents, parts), np.arange(parts.sum()) - np.repeat(before, parts)
        return document << PART_BITS | part

    def document(self, ids: ArrayLike) -> NDArray[np.int64]:
        """The document of each window: ids of any shape -> the same shape."""
        return np.asarray(ids, np.int64) >> PART_BITS

    def lengths(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Tokens of each window: ids of any shape -> the same shape, int64."""
        document = self.document(ids)
        offsets = self.corpus.token_offsets
        return np.minimum(offsets[document + 1] - offsets[document], self.context)

    def fetch(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Tokens of windows: ids of any shape (...,) -> (..., context) int64, padded at the right with -100.
        InputError: no such document, or it has no such window."""
        ids = np.asarray(ids, np.int64)
        document, part = self.document(ids), ids & (MAX_PARTS - 1)
        if ids.size and (document.min() < 0 or document.max() >= self.corpus.num_documents):
            raise InputError(
                f"window ids of documents {document.min()} to {document.max()} given, expected 0 to "
                f"{self.corpus.num_documents - 1}: take ids from `Windows.ids` or from draws"
            )
        begin, end = self.corpus.token_offsets[document], self.corpus.token_offsets[document + 1]
        if (beyond := begin + part * self.context >= end).any():
            raise InputError(
                f"window {part[beyond][0]} of document {document[beyond][0]} given, which has "
                f"{(end - begin)[beyond][0]} tokens in windows of {self.context}: take ids from `Windows.ids`"
            )
        start = np.maximum(np.minimum(begin + part * self.context, end - self.context), begin)
        position = start[..., None] + np.arange(self.context)
        inside = position < end[..., None]
        tokens: NDArray[Any] = self.corpus.tokens[np.where(inside, position, 0)]
        return np.where(inside, tokens.astype(np.int64), PADDING)


def count_parts(lengths: NDArray[np.int64], context: int) -> NDArray[np.int64]:
    """Windows of each document of `lengths` tokens, of the same shape. InputError: more than an id can tell apart."""
    parts = -(-lengths // context)
    if parts.max(initial=0) > MAX_PARTS:
        raise InputError(
            f"a document of {lengths.max()} tokens has {parts.max()} windows of {context}, expected at most "
            f"{MAX_PARTS}: raise the context, or split the document"
        )
    return parts
