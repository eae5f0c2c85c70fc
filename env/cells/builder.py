"""Building a cell index: a counting sort of documents by their labels, a chunk at a time.

Documents are read twice: once to count what is in each cell, once to put each document into its cell's part of the
list. Besides the index itself a build needs memory for one chunk.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.windows import count_parts
from ...lm.io.errors import InputError
from .index import GROUP_DOCUMENTS, MAX_CELLS, CellIndex
from .label_codes import LabelCodes, count_codes

CHUNK_BITS = 20
CHUNK = 1 << CHUNK_BITS  # documents at a time

Allocate = Callable[[str, int, np.dtype], NDArray[Any]]


def in_memory(name: str, length: int, dtype: np.dtype) -> NDArray[Any]:
    """Room for one of the index's lists of documents, by the name of its field; `store.py` has another, in files."""
    return np.zeros(length, dtype)


@dataclass(frozen=True)
class Chunk:
    """M documents that have tokens: number in the corpus (M,), lengths (M,) in tokens, label columns, A of (M,)."""

    number: NDArray[np.int64]
    lengths: NDArray[np.int64]
    columns: list[NDArray[np.uint16]]


@dataclass(frozen=True)
class LabelledDocuments:
    """What a build reads. token_offsets: (D + 1,) int64 and columns: by name, (D,) uint16, of all D documents of the
    corpus, memory-mapped or not; context: tokens of a window; documents: the range of those that go into cells."""

    token_offsets: NDArray[np.int64]
    context: int
    documents: range
    columns: Mapping[str, NDArray[np.uint16]]

    def __post_init__(self) -> None:
        expected = (len(self.token_offsets) - 1,)
        for name, column in self.columns.items():
            if column.shape != expected:
                raise InputError(f"labels '{name}' have shape {column.shape}, expected {expected}: one a document")

    def chunks(self) -> Iterator[Chunk]:
        """The documents that have tokens, in order, CHUNK documents of the corpus at a time."""
        for start in range(self.documents.start, self.documents.stop, CHUNK):
            stop = min(start + CHUNK, self.documents.stop)
            lengths = np.diff(self.token_offsets[start : stop + 1])
            kept = np.flatnonzero(lengths)
            columns = [column[start:stop][kept] for column in self.columns.values()]
            yield Chunk(kept + start, lengths[kept], columns)

    def most_parts(self) -> int:
        """Windows of the longest document."""
        longest = max(int(chunk.lengths.max(initial=0)) for chunk in self.chunks())
        return int(count_parts(np.array([longest]), self.context)[0])


def build_cells(source: LabelledDocuments, allocate: Allocate = in_memory) -> CellIndex:
    """The index of `source`. InputError: too many cells, a document of too many windows, or no tokens at all."""
    codes, count_C = _survey(source)
    free_C = np.cumsum(count_C) - count_C  # of each cell, the first place in the list that holds no document yet
    first_C, num_documents = free_C.copy(), int(count_C.sum())
    windows_C, tokens_C = np.zeros((2, len(count_C)), np.int64)
    document_D = allocate("document_D", num_documents, np.min_scalar_type(source.documents.stop - 1))
    start_dtype = np.min_scalar_type(GROUP_DOCUMENTS * source.most_parts())
    start_D = allocate("start_D", -(-num_documents // GROUP_DOCUMENTS) * GROUP_DOCUMENTS, start_dtype)
    for chunk in source.chunks():
        packed = np.sort(codes.of(chunk.columns) << CHUNK_BITS | np.arange(len(chunk.number)))
        code, order = packed >> CHUNK_BITS, packed & (CHUNK - 1)
        begin = np.flatnonzero(np.diff(code, prepend=-1))
        cell, number = np.searchsorted(codes.known[-1], code[begin]), np.diff(begin, append=len(code))
        place = np.arange(len(code)) + np.repeat(free_C[cell] - begin, number)
        lengths = chunk.lengths[order]
        parts = count_parts(lengths, source.context)
        # A document longer than a window has its last window moved back, so its windows are all full.
        drawn = np.where(lengths >= source.context, parts * source.context, lengths)
        document_D[place], start_D[place] = chunk.number[order], parts
        if len(code):
            free_C[cell] += number
            windows_C[cell] += np.add.reduceat(parts, begin)
            tokens_C[cell] += np.add.reduceat(drawn, begin)
    labels_CA = np.stack([column[document_D[first_C]] for column in source.columns.values()], 1)
    group_start = _windows_before(start_D, num_documents)
    return CellIndex(labels_CA, windows_C, tokens_C.astype(np.float64), document_D, start_D, group_start)


def _survey(source: LabelledDocuments) -> tuple[LabelCodes, NDArray[np.int64]]:
    """Codes of the label tuples that occur, and how many documents carry each code of the last stage."""
    part = slice(source.documents.start, source.documents.stop)
    sizes = [int(column[part].max(initial=0)) + 1 for column in source.columns.values()]
    codes = LabelCodes(sizes)
    for _ in codes.stages:
        known, count_C = count_codes(codes.of(chunk.columns) for chunk in source.chunks())
        if len(known) > MAX_CELLS:
            largest = sorted(zip(sizes, source.columns, strict=True), reverse=True)
            finest = ", ".join(f"{name} ({size})" for size, name in largest[:3])
            raise InputError(
                f"{len(known)} occupied cells or more, at most {MAX_CELLS}: coarsen the finest agents: {finest}"
            )
        codes.known.append(known)
    if not len(known):
        raise InputError(f"none of the {len(source.documents)} documents has tokens, expected one at least")
    return codes, count_C


def _windows_before(start_D: NDArray[Any], num_documents: int) -> NDArray[np.int64]:
    """Turn the number of each document's windows into the number of windows before it in its group, in place -> the
    number of windows before each group, (groups,). From `num_documents` on the list is padding."""
    groups = start_D.reshape(-1, GROUP_DOCUMENTS)
    total = np.zeros(len(groups), np.int64)
    for begin in range(0, len(groups), CHUNK // GROUP_DOCUMENTS):
        part = slice(begin, begin + CHUNK // GROUP_DOCUMENTS)
        end = np.cumsum(groups[part], 1, np.int64)
        total[part] = end[:, -1]
        groups[part] = end - groups[part]
    start_D[num_documents:] = np.iinfo(start_D.dtype).max
    return np.cumsum(total) - total
