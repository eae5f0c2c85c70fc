"""Numbers for label tuples that sort as the tuples do, however many columns and labels there are."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from .index import MAX_CELLS

CODE_BITS = 43  # with the 20 bits of a document's place in its chunk, a code fits an int64


class LabelCodes:
    """Codes below 2**CODE_BITS of label tuples; sizes: one above the largest label of each column. Where the product of
    the sizes is larger, the columns are cut into stages. The codes of a stage that occur are numbered, and the next
    stage counts on from that number."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.stages: list[list[int]] = [[]]  # the columns of each
        room = 1 << CODE_BITS
        for column, size in enumerate(self.sizes):
            if size > room:
                self.stages.append([])
                room = (1 << CODE_BITS) // MAX_CELLS
            self.stages[-1].append(column)
            room //= size
        self.known: list[NDArray[np.int64]] = []  # the codes that occur, by stage, rising

    def of(self, columns: Sequence[NDArray[np.uint16]]) -> NDArray[np.int64]:
        """Codes of M tuples up to the first stage that is not in `known`, or the last. columns: A of (M,) -> (M,)."""
        code = np.zeros(len(columns[0]), np.int64)
        for stage, in_stage in enumerate(self.stages[: len(self.known) + 1]):
            if stage:
                code = np.searchsorted(self.known[stage - 1], code)
            for column in in_stage:
                code *= self.sizes[column]
                code += columns[column]
        return code


def count_codes(chunks: Iterable[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The codes that occur, rising, and how often each does. Stops early with more than MAX_CELLS of them."""
    codes, count = np.zeros((2, 0), np.int64)
    for chunk in chunks:
        new, number = np.unique(chunk, return_counts=True)
        merged = np.union1d(codes, new)
        total = np.zeros(len(merged), np.int64)
        total[np.searchsorted(merged, codes)] = count
        total[np.searchsorted(merged, new)] += number
        codes, count = merged, total
        if len(codes) > MAX_CELLS:
            break
    return codes, count
