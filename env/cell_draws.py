"""Draws of windows from cells: without replacement, in the order of a seeded permutation.

The state of a run is one counter a cell and its seed.
"""

import numpy as np
from numpy.typing import NDArray

from ..lm.hashing import mix
from .blocks import blocks
from .cells import CellIndex
from .permutation import permute


class CellDraws:
    """What N runs have drawn: used_NC windows of each cell out of pool_NC, each run under its own seed."""

    def __init__(self, cells: CellIndex, num_slots: int) -> None:
        self.cells = cells
        self.used_NC = np.zeros((num_slots, cells.num_cells), np.int64)
        self.pool_NC = np.ones((num_slots, cells.num_cells), np.int64)
        self.pool_tokens_NC = self.pool_NC * cells.window_tokens_C
        self.seed_N = np.zeros(num_slots, np.uint64)

    def reset(self, slot: int, seed: int, pool_tokens: float) -> None:
        """Start afresh with a pool of about `pool_tokens`, the same share of each cell, one window at least."""
        share = min(1.0, pool_tokens / self.cells.tokens_C.sum())
        self.used_NC[slot] = 0
        self.pool_NC[slot] = np.maximum(1, np.rint(self.cells.windows_C * share)).astype(np.int64)
        self.pool_tokens_NC[slot] = self.pool_NC[slot] * self.cells.window_tokens_C
        self.seed_N[slot] = seed

    @property
    def epochs_NC(self) -> NDArray[np.float64]:
        return self.used_NC / self.pool_NC

    def draw(self, slot: int, share_C: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`count` window ids whose tokens follow the distribution `share_C` over cells, in random order.

        Stratified (one uniform number in each of `count` equal slices), which leaves the expectation alone and takes
        most of the noise out of the mixture."""
        below_C = _points_below(edges(share_C, self.cells.window_tokens_C), rng.random(count))
        count_C = np.diff(below_C, prepend=0)
        cell_M = np.repeat(np.arange(self.cells.num_cells), count_C)
        first_turn_C = self.used_NC[slot] + count_C - below_C
        turn_M = np.arange(count) + first_turn_C[cell_M]
        self.used_NC[slot] += count_C
        number_M = self._numbers(slot, cell_M, turn_M)
        number_M.sort()  # so that the index is read from front to back
        ids_M = self.cells.window_ids(number_M)
        rng.shuffle(ids_M)
        return ids_M

    def windows_at(self, slot: int, cell_M: NDArray[np.int64], turn_M: NDArray[np.int64]) -> NDArray[np.int64]:
        """The windows that the draws number `turn` from each cell give: an own order in every epoch."""
        return self.cells.window_ids(self._numbers(slot, cell_M, turn_M))

    def _numbers(self, slot: int, cell_M: NDArray[np.int64], turn_M: NDArray[np.int64]) -> NDArray[np.int64]:
        number_M = np.empty(len(cell_M), np.int64)
        seed = self.seed_N[slot]
        for part in blocks(len(cell_M)):
            cell_B, pool_B = cell_M[part], self.pool_NC[slot, cell_M[part]]
            label_B = cell_B.astype(np.uint64)
            epoch_B, place_B = np.divmod(turn_M[part], pool_B)
            key_B = mix(mix(seed + label_B) + epoch_B.astype(np.uint64))
            member_B = permute(place_B, pool_B, key_B)  # which member of the pool
            window_B = permute(member_B, self.cells.windows_C[cell_B], mix(seed ^ mix(label_B)))
            number_M[part] = self.cells.first_C[cell_B] + window_B
        return number_M

    def state_dict(self) -> dict[str, NDArray]:
        return {"used": self.used_NC.copy(), "pool": self.pool_NC.copy(), "seed": self.seed_N.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.used_NC, self.pool_NC, self.seed_N = state["used"].copy(), state["pool"].copy(), state["seed"].copy()
        self.pool_tokens_NC = self.pool_NC * self.cells.window_tokens_C


def edges(share_C: NDArray[np.float64], window_tokens_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each cell ends in [0, 1] if a window is drawn by one uniform number, (C,); exactly 1 from the last cell
    on that has a share. Shares are of tokens, so a cell of short windows has more of the draws."""
    edge_C = share_C / window_tokens_C
    np.cumsum(edge_C, out=edge_C)
    edge_C /= edge_C[-1]
    return edge_C


def _points_below(edge_C: NDArray[np.float64], random_M: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the points (m + random_m) / M lie below each edge, (C,): all those of the slices before the edge's
    own, and that slice's if it does."""
    scaled_C = edge_C * len(random_M)
    slice_C = np.minimum(scaled_C.astype(np.int64), len(random_M) - 1)
    return slice_C + (random_M[slice_C] < scaled_C - slice_C)
