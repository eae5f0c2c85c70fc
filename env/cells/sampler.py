"""Draws of windows from cells: without replacement, in the order of a seeded permutation.

The state of a run is one counter a cell and its seed.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words, hash64, stream, uniforms
from .blocks import blocks
from .index import CellIndex
from .permutation import permute


class CellSampler:
    """What N runs have drawn: used_NC windows of each cell out of pool_NC, each run under its own seed. natural_NC: the
    share of each cell in the text of a run's pool."""

    def __init__(self, cells: CellIndex, num_slots: int) -> None:
        self.cells = cells
        self.used_NC = np.zeros((num_slots, cells.num_cells), np.int64)
        self.pool_NC = np.ones((num_slots, cells.num_cells), np.int64)
        self.pool_tokens_NC = self.pool_NC * cells.window_tokens_C
        self.natural_NC = np.tile(cells.natural_C, (num_slots, 1))
        self.seed_N = np.zeros(num_slots, np.uint64)

    def reset(self, slot: int, seed: int, pool_tokens: float, natural_C: NDArray[np.float64]) -> None:
        """Start afresh with a pool of about `pool_tokens`, of which each cell has the share `natural_C`: one window at
        least, unless that is 0, and at most all."""
        windows_C = np.rint(pool_tokens * natural_C / self.cells.window_tokens_C)
        self.used_NC[slot] = 0
        self.pool_NC[slot] = np.clip(windows_C, natural_C > 0, self.cells.windows_C)
        self.pool_tokens_NC[slot] = self.pool_NC[slot] * self.cells.window_tokens_C
        self.natural_NC[slot] = natural_C
        self.seed_N[slot] = seed

    @property
    def epochs_NC(self) -> NDArray[np.float64]:
        return self.used_NC / np.maximum(self.pool_NC, 1)

    def draw(
        self, slots: NDArray[np.intp], share_SC: NDArray[np.float64], count: int, key_S: Words
    ) -> NDArray[np.int64]:
        """`count` window ids for each of S slots, (S, count), whose tokens follow the distributions `share_SC` over
        cells, in random order. key_S: mixed words, one a slot and call, from which all random numbers come.

        Stratified (one uniform number in each of `count` equal slices), which leaves the expectation alone and takes
        most of the noise out of the mixture."""
        words_SM = stream(key_S, 2 * count)
        random_SM = uniforms(words_SM[:, :count])
        below_SC = _points_below(edges(share_SC, self.cells.window_tokens_C), random_SM)
        count_SC = np.diff(below_SC, prepend=0, axis=1)
        cells = np.broadcast_to(np.arange(self.cells.num_cells), count_SC.shape)
        cell_SM = np.repeat(cells.reshape(-1), count_SC.reshape(-1)).reshape(random_SM.shape)
        first_turn_SC = self.used_NC[slots] + count_SC - below_SC
        turn_SM = np.arange(count) + np.take_along_axis(first_turn_SC, cell_SM, 1)
        self.used_NC[slots] += count_SC
        number_SM = self._numbers(slots, cell_SM, turn_SM)
        number_SM.sort(axis=1)  # so that the index is read from front to back
        ids_SM = self.cells.window_ids(number_SM.reshape(-1)).reshape(number_SM.shape)
        return np.take_along_axis(ids_SM, words_SM[:, count:].argsort(axis=1), 1)

    def windows_at(
        self, slots: NDArray[np.intp], cell_SM: NDArray[np.int64], turn_SM: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The windows that the draws number `turn` from each cell give, (S, M): an own order in every epoch."""
        number_SM = self._numbers(slots, cell_SM, turn_SM)
        return self.cells.window_ids(number_SM.reshape(-1)).reshape(number_SM.shape)

    def _numbers(
        self, slots: NDArray[np.intp], cell_SM: NDArray[np.int64], turn_SM: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        number_SM = np.empty(cell_SM.shape, np.int64)
        cells, turns, numbers = cell_SM.reshape(-1), turn_SM.reshape(-1), number_SM.reshape(-1)
        for part in blocks(numbers.size):
            slot_B = slots[np.arange(part.start, min(part.stop, numbers.size)) // cell_SM.shape[1]]
            cell_B, seed_B = cells[part], self.seed_N[slot_B]
            pool_B, label_B = self.pool_NC[slot_B, cell_B], cell_B.astype(np.uint64)
            epoch_B, place_B = np.divmod(turns[part], pool_B)
            key_B = hash64(hash64(seed_B + label_B) + epoch_B.astype(np.uint64))
            member_B = permute(place_B, pool_B, key_B)  # which member of the pool
            window_B = permute(member_B, self.cells.windows_C[cell_B], hash64(seed_B ^ hash64(label_B)))
            numbers[part] = self.cells.first_C[cell_B] + window_B
        return number_SM

    def state_dict(self) -> dict[str, NDArray]:
        names = ("used_NC", "pool_NC", "natural_NC", "seed_N")
        return {name: getattr(self, name).copy() for name in names}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        for name, value in state.items():
            setattr(self, name, value.copy())
        self.pool_tokens_NC = self.pool_NC * self.cells.window_tokens_C


def edges(share_SC: NDArray[np.float64], window_tokens_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each cell ends in [0, 1] if a window is drawn by one uniform number, (S, C); exactly 1 from the last cell
    on that has a share. Shares are of tokens, so a cell of short windows has more of the draws."""
    edge_SC = share_SC / window_tokens_C
    np.cumsum(edge_SC, axis=1, out=edge_SC)
    edge_SC /= edge_SC[:, -1:].copy()
    return edge_SC


def _points_below(edge_SC: NDArray[np.float64], random_SM: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the points (m + random_m) / M lie below each edge, (S, C): all those of the slices before the edge's
    own, and that slice's if it does."""
    count = random_SM.shape[1]
    scaled_SC = edge_SC * count
    slice_SC = np.minimum(scaled_SC.astype(np.int64), count - 1)
    return slice_SC + (np.take_along_axis(random_SM, slice_SC, 1) < scaled_SC - slice_SC)
