"""Cells: the documents that carry the same label under every agent, and their windows by number.

Scores depend on the cell alone, so changing the weights costs O(cells). An index lists its documents cell by cell; the
lists may lie in files that are read where they lie (`cell_store`), so that they need not fit in memory.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.windows import PART_BITS
from .blocks import blocks

MAX_CELLS = 262_144
GROUP_DOCUMENTS = 64  # documents between two entries of the coarse table; a power of two


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

    def window_ids(self, number_M: NDArray[np.int64]) -> NDArray[np.int64]:
        """Windows by number, below `windows_C.sum()` -> window ids of the corpus, (M,). Fastest for rising numbers."""
        ids_M = np.empty(len(number_M), np.int64)
        for part in blocks(len(number_M)):
            ids_M[part] = self._ids_of_block(number_M[part])
        return ids_M

    def _ids_of_block(self, number_M: NDArray[np.int64]) -> NDArray[np.int64]:
        group_M = np.searchsorted(self.group_start, number_M, side="right") - 1
        number_M = number_M - self.group_start[group_M]
        rest_M = number_M.astype(self.start_D.dtype)
        row_M = group_M * GROUP_DOCUMENTS
        step = GROUP_DOCUMENTS // 2
        while step:  # binary search for the document, of all M at once
            row_M += step * (self.start_D[row_M + step] <= rest_M)
            step //= 2
        return self.document_D[row_M].astype(np.int64) << PART_BITS | (number_M - self.start_D[row_M])
