"""Cells: the documents that carry the same label under every agent, and draws of windows from them.

Scores depend on the cell alone, so changing the weights costs O(cells). Windows are drawn inside a cell without
replacement, in the order of a seeded permutation; the state of a run is one counter a cell and its seed.
"""

import numpy as np
from numpy.typing import NDArray

from ..lm.errors import InputError
from ..lm.windows import Windows
from .permutation import mix, permute

MAX_CELLS = 262_144


class CellIndex:
    """The occupied label tuples of `documents`. labels_CA: (C, A) uint16; windows_C, tokens_C: (C,) what each holds."""

    def __init__(
        self, windows: Windows, documents: range, labels_DA: NDArray[np.uint16], names: tuple[str, ...]
    ) -> None:
        if len(labels_DA) != len(documents) or labels_DA.shape[1] != len(names):
            raise InputError(f"labels have shape {labels_DA.shape}, expected ({len(documents)}, {len(names)})")
        code = np.zeros(len(documents), np.int64)
        for column in labels_DA.T.astype(np.int64):
            code = np.unique(code * (int(column.max(initial=0)) + 1) + column, return_inverse=True)[1]
        num_cells = int(code.max(initial=-1)) + 1
        if num_cells > MAX_CELLS:
            sizes = sorted(zip(labels_DA.max(0) + 1, names, strict=True), reverse=True)
            finest = ", ".join(f"{name} ({size})" for size, name in sizes[:3])
            raise InputError(f"{num_cells} occupied cells, at most {MAX_CELLS}: coarsen the finest agents: {finest}")
        self.document_order = np.argsort(code, kind="stable") + documents.start
        per_document = np.diff(windows.first)[self.document_order]
        self.first_window = np.concatenate([[0], np.cumsum(per_document)])  # of each document, in cell order
        first_document = np.searchsorted(code[self.document_order - documents.start], np.arange(num_cells + 1))
        self.cell_start = self.first_window[first_document]
        self.windows_C = np.diff(self.cell_start)
        self.labels_CA = labels_DA[self.document_order[first_document[:-1]] - documents.start]
        lengths = np.diff(windows.corpus.token_offsets)[self.document_order]
        # A document longer than a window has its last window moved back, so its windows are all full.
        drawn = np.where(lengths >= windows.context, per_document * windows.context, lengths)
        self.tokens_C = np.add.reduceat(drawn, first_document[:-1]).astype(np.float64)
        self._windows = windows

    @property
    def num_cells(self) -> int:
        return len(self.windows_C)

    def window_ids(self, cell_M: NDArray[np.int64], position_M: NDArray[np.int64]) -> NDArray[np.int64]:
        """Window number `position` of each cell -> window ids of the corpus, (M,)."""
        at = self.cell_start[cell_M] + position_M
        row = np.searchsorted(self.first_window, at, side="right") - 1
        return self._windows.first[self.document_order[row]] + at - self.first_window[row]


class CellDraws:
    """What N runs have drawn: used_NC windows of each cell out of pool_NC, each run under its own seed."""

    def __init__(self, cells: CellIndex, num_slots: int) -> None:
        self.cells = cells
        self.used_NC = np.zeros((num_slots, cells.num_cells), np.int64)
        self.pool_NC = np.ones((num_slots, cells.num_cells), np.int64)
        self.seed_N = np.zeros(num_slots, np.uint64)

    def reset(self, slot: int, seed: int, pool_tokens: float) -> None:
        """Start afresh with a pool of about `pool_tokens`, the same share of each cell, one window at least."""
        share = min(1.0, pool_tokens / self.cells.tokens_C.sum())
        self.used_NC[slot] = 0
        self.pool_NC[slot] = np.maximum(1, np.rint(self.cells.windows_C * share)).astype(np.int64)
        self.seed_N[slot] = seed

    @property
    def epochs_NC(self) -> NDArray[np.float64]:
        return self.used_NC / self.pool_NC

    @property
    def pool_tokens_NC(self) -> NDArray[np.float64]:
        return self.pool_NC * (self.cells.tokens_C / self.cells.windows_C)

    def draw(self, slot: int, share_C: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` window ids whose tokens follow the distribution `share_C` over cells, in random order.

        Stratified (one uniform number in each of `count` equal slices), which leaves the expectation alone and takes
        most of the noise out of the mixture."""
        per_window = share_C / (self.cells.tokens_C / self.cells.windows_C)
        edges = np.cumsum(per_window / per_window.sum())
        uniform = (rng.permutation(count) + rng.random(count)) / count
        last = np.flatnonzero(share_C)[-1]
        cell_M = np.minimum(np.searchsorted(edges, uniform, side="right"), last)
        turn_M = self.used_NC[slot, cell_M] + _occurrence(cell_M)
        self.used_NC[slot] += np.bincount(cell_M, minlength=self.cells.num_cells)
        return self.windows_at(slot, cell_M, turn_M)

    def windows_at(self, slot: int, cell_M: NDArray[np.int64], turn_M: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows that the draws number `turn` from each cell give: an own order in every epoch."""
        pool_M = self.pool_NC[slot, cell_M]
        epoch_M, place_M = np.divmod(turn_M, pool_M)
        key_M = mix(mix(self.seed_N[slot] + cell_M.astype(np.uint64)) + epoch_M.astype(np.uint64))
        member_M = permute(place_M, pool_M, key_M)  # which member of the pool
        pool_key_M = mix(self.seed_N[slot] ^ mix(cell_M.astype(np.uint64)))
        return self.cells.window_ids(cell_M, permute(member_M, self.cells.windows_C[cell_M], pool_key_M))

    def state_dict(self) -> dict[str, NDArray]:
        return {"used": self.used_NC.copy(), "pool": self.pool_NC.copy(), "seed": self.seed_N.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.used_NC, self.pool_NC, self.seed_N = state["used"].copy(), state["pool"].copy(), state["seed"].copy()


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many equal values stand before each: [5, 5, 7, 5] -> [0, 1, 0, 2]."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    start = np.searchsorted(ordered, ordered)
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values)) - start
    return rank
