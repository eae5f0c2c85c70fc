"""Draws of windows from cells: without replacement, in the order of a seeded permutation.

The state of a run is its seed and one counter a cell.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import copies, restore
from ...lm.keyed_random import Words, hash64, stream, uniforms
from .blocks import blocks
from .index import CellIndex
from .permutation import permute


class CellSampler:
    """Draws for N runs. used_NC: the windows drawn from each cell so far; pool_NC: the windows of each cell that are in
    the run's pool; pool_tokens_NC: their tokens; natural_NC: each cell's share of the pool's tokens; seed_N: which
    windows of a cell are in the pool, and in which order they come."""

    _ARRAYS = ("used_NC", "pool_NC", "natural_NC", "seed_N")

    def __init__(self, cells: CellIndex, num_slots: int) -> None:
        self.cells = cells
        self.used_NC = np.zeros((num_slots, cells.num_cells), np.int64)
        self.pool_NC = np.ones((num_slots, cells.num_cells), np.int64)
        self.pool_tokens_NC = self.pool_NC * cells.window_tokens_C
        self.natural_NC = np.tile(cells.natural_C, (num_slots, 1))
        self.seed_N = np.zeros(num_slots, np.uint64)

    def reset(self, slot: int, seed: int, pool_tokens: float, natural_C: NDArray[np.float64]) -> None:
        """Start afresh with a pool of about `pool_tokens`, of which each cell has the share `natural_C`: at least one
        window unless that share is 0, and at most all windows of the cell."""
        windows_C = np.rint(pool_tokens * natural_C / self.cells.window_tokens_C)
        self.used_NC[slot] = 0
        self.pool_NC[slot] = np.clip(windows_C, natural_C > 0, self.cells.windows_C)
        self.pool_tokens_NC[slot] = self.pool_NC[slot] * self.cells.window_tokens_C
        self.natural_NC[slot] = natural_C
        self.seed_N[slot] = seed

    @property
    def epochs_NC(self) -> NDArray[np.float64]:
        """How often each cell's part of the pool has been used."""
        return self.used_NC / np.maximum(self.pool_NC, 1)

    def draw(
        self, slots: NDArray[np.intp], share_NC: NDArray[np.float64], count: int, key_N: Words
    ) -> NDArray[np.int64]:
        """`count` window ids for each of the N runs in `slots`, (N, count), in random order. Their tokens follow the
        distributions `share_NC` over cells. key_N: hashed 64-bit keys, one for each run and call, the source of all
        randomness."""
        return in_random_order(self.take(slots, self.counts(share_NC, count, key_N)), key_N)

    def counts(self, share_NC: NDArray[np.float64], count: int, key_N: Words) -> NDArray[np.int64]:
        """How many of `count` windows come from each cell, (N, C); nothing is drawn yet.

        The draw is stratified: one uniform number in each of `count` equal slices. This leaves the expectation as it
        is, and takes most of the noise out of the mixture."""
        below_NC = _points_below(edges(share_NC, self.cells.window_tokens_C), uniforms(stream(key_N, count)))
        return np.diff(below_NC, prepend=0, axis=1)

    def take(self, slots: NDArray[np.intp], count_NC: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw so many windows of each cell -> their ids in the order of cells, (N, W); the counts of each of the N
        runs in `slots` add up to W."""
        number_NW = self._numbers(slots, *self._coming(slots, count_NC))
        self.used_NC[slots] += count_NC
        number_NW.sort(axis=1)  # so that the index is read from front to back
        return self.cells.window_ids(number_NW.reshape(-1)).reshape(number_NW.shape)

    def coming(self, slots: NDArray[np.intp], count_NC: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of the windows that `take` would draw, cell by cell, (N, W)."""
        return self.windows_at(slots, *self._coming(slots, count_NC))

    def _coming(
        self, slots: NDArray[np.intp], count_NC: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The cell of each of the coming windows and its number among the cell's draws, both (N, W)."""
        cells = np.broadcast_to(np.arange(self.cells.num_cells), count_NC.shape)
        cell_NW = np.repeat(cells.reshape(-1), count_NC.reshape(-1)).reshape(len(count_NC), -1)
        first_turn_NC = self.used_NC[slots] + count_NC - np.cumsum(count_NC, axis=1)
        return cell_NW, np.arange(cell_NW.shape[1]) + np.take_along_axis(first_turn_NC, cell_NW, 1)

    def windows_at(
        self, slots: NDArray[np.intp], cell_NW: NDArray[np.int64], turn_NW: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Ids of the windows that the runs in `slots` draw from these cells at their draws number `turn`, counted from
        0 within a cell, (N, W). Every epoch has an order of its own."""
        number_NW = self._numbers(slots, cell_NW, turn_NW)
        return self.cells.window_ids(number_NW.reshape(-1)).reshape(number_NW.shape)

    def _numbers(
        self, slots: NDArray[np.intp], cell_NW: NDArray[np.int64], turn_NW: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """As `windows_at`, the windows' numbers in the index."""
        number_NW = np.empty(cell_NW.shape, np.int64)
        cells, turns, numbers = cell_NW.reshape(-1), turn_NW.reshape(-1), number_NW.reshape(-1)
        for part in blocks(numbers.size):
            slot = slots[np.arange(part.start, min(part.stop, numbers.size)) // cell_NW.shape[1]]
            cell, seed = cells[part], self.seed_N[slot]
            pool, label = self.pool_NC[slot, cell], cell.astype(np.uint64)
            epoch, place = np.divmod(turns[part], pool)
            key = hash64(hash64(seed + label) + epoch.astype(np.uint64))
            member = permute(place, pool, key)  # which window of the pool
            window = permute(member, self.cells.windows_C[cell], hash64(seed ^ hash64(label)))  # which of the cell
            numbers[part] = self.cells.first_C[cell] + window
        return number_NW

    def state_dict(self) -> dict[str, NDArray]:
        """What the coming draws depend on."""
        return copies(self, self._ARRAYS)

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        restore(self, self._ARRAYS, state)
        self.pool_tokens_NC = self.pool_NC * self.cells.window_tokens_C


def edges(share_NC: NDArray[np.float64], window_tokens_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where in [0, 1] each cell ends if one uniform number draws a window, (N, C); exactly 1 from the last cell on that
    has a share. Shares are of tokens, so a cell of short windows is drawn from more often than its share."""
    edge_NC = share_NC / window_tokens_C
    np.cumsum(edge_NC, axis=1, out=edge_NC)
    edge_NC /= edge_NC[:, -1:].copy()
    return edge_NC


def _points_below(edge_NC: NDArray[np.float64], random_NW: NDArray[np.float64]) -> NDArray[np.int64]:
    """How many of the points (w + random_w) / W lie below each edge, (N, C): one in each slice before the edge's own,
    and that of its own slice if it is below the edge."""
    count = random_NW.shape[1]
    scaled_NC = edge_NC * count
    slice_NC = np.minimum(scaled_NC.astype(np.int64), count - 1)
    return slice_NC + (np.take_along_axis(random_NW, slice_NC, 1) < scaled_NC - slice_NC)


def in_random_order(ids_NW: NDArray[np.int64], key_N: Words) -> NDArray[np.int64]:
    """Each run's windows shuffled by the key of the draw, with words that its counts did not use."""
    count = ids_NW.shape[1]
    return np.take_along_axis(ids_NW, stream(key_N, 2 * count)[:, count:].argsort(axis=1), 1)


def sums_by_cell(value_NW: NDArray[np.int64], count_NC: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums over each cell's windows, (N, C), of values (N, W) that are in the order of cells, `count_NC` of each."""
    number, sums_NC = count_NC.reshape(-1), np.zeros(count_NC.shape, np.int64)
    some = np.flatnonzero(number)
    if len(some):
        first = np.cumsum(number[some]) - number[some]
        sums_NC.reshape(-1)[some] = np.add.reduceat(value_NW.reshape(-1), first)
    return sums_NC
