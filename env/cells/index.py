"""Cells: the documents that carry the same label under every agent, and their windows by number.

Scores depend on the cell alone, so changing the weights costs O(cells). An index lists its documents cell by cell. The
lists may be memory-mapped files (`store.py`), so that they need not fit in memory.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.windows import PART_BITS
from .blocks import blocks

MAX_CELLS = 262_144
GROUP_DOCUMENTS = 64  # of a group, whose first window the index knows; a power of two


@dataclass(frozen=True)
class CellIndex:
    """The occupied label tuples of a range of documents, in lexicographic order. Windows are numbered cell by cell, and
    within a cell in the corpus's order. A document without tokens has no windows and is not in the index.

    labels_CA: uint16; windows_C: int64 and tokens_C: float64, what each cell holds; document_D: unsigned, the number in
    the corpus of each of the D documents, in the order of the windows. They stand in groups of GROUP_DOCUMENTS:
    group_start: (groups,) int64, the number of each group's first window; start_D: unsigned, the number of each
    document's first window less that of its group's, padded with the dtype's largest number to whole groups."""

    labels_CA: NDArray[np.uint16]
    windows_C: NDArray[np.int64]
    tokens_C: NDArray[np.float64]
    document_D: NDArray[Any]
    start_D: NDArray[Any]
    group_start: NDArray[np.int64]

    @property
    def num_cells(self) -> int:
        return len(self.windows_C)

    @cached_property
    def natural_C(self) -> NDArray[np.float64]:
        """Each cell's share of the tokens, (C,)."""
        return self.tokens_C / self.tokens_C.sum()

    @cached_property
    def window_tokens_C(self) -> NDArray[np.float64]:
        """Mean tokens of a cell's windows, (C,)."""
        return self.tokens_C / self.windows_C

    @cached_property
    def first_C(self) -> NDArray[np.int64]:
        """The number of each cell's first window, (C,)."""
        return np.cumsum(self.windows_C) - self.windows_C

    def documents(self) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """By document, in the order of the windows: its number in the corpus, its cell, its number of windows, each
        (D,)."""
        first_D = np.repeat(self.group_start, GROUP_DOCUMENTS)[: len(self.document_D)]
        first_D = first_D + self.start_D[: len(self.document_D)]  # of its windows
        windows_D = np.diff(first_D, append=self.windows_C.sum())
        return self.document_D, np.searchsorted(self.first_C, first_D, side="right") - 1, windows_D

    def window_ids(self, number_W: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows by number, below `windows_C.sum()` -> window ids of the corpus, (W,). Fastest for rising numbers."""
        ids_W = np.empty(len(number_W), np.int64)
        for part in blocks(len(number_W)):
            ids_W[part] = self._ids_of_block(number_W[part])
        return ids_W

    def _ids_of_block(self, number_W: NDArray[np.int64]) -> NDArray[np.int64]:
        group_W = np.searchsorted(self.group_start, number_W, side="right") - 1
        number_W = number_W - self.group_start[group_W]
        rest_W = number_W.astype(self.start_D.dtype)
        place_W = group_W * GROUP_DOCUMENTS  # of the window's document in `document_D`
        step = GROUP_DOCUMENTS // 2
        while step:  # binary search in the group, of all windows at once
            place_W += step * (self.start_D[place_W + step] <= rest_W)
            step //= 2
        return self.document_D[place_W].astype(np.int64) << PART_BITS | (number_W - self.start_D[place_W])
