"""Draws of windows from cells: without replacement, in the order of a seeded permutation.

The state of a run is its seed and one counter a cell; and, if its corpus has changed under it, how often each window
had been used by then.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import copies, restore
from ...lm.keyed_random import Words, hash64, stream, uniforms
from .blocks import blocks
from .index import CellIndex
from .permutation import permute

TIMES = "times/"  # keys of a state, with the slot after it
TURN_BITS = 44  # of a draw's number within its cell; with the cell above them, it fits an int64


class CellSampler:
    """Draws for N runs. used_NC: the windows drawn from each cell so far; pool_NC: the windows of each cell that are in
    the run's pool; pool_tokens_NC: their tokens; natural_NC: each cell's share of the pool's tokens; seed_N: which
    windows of a cell are in the pool, and in which order they come; first_turn_NC: the first of as many draws as the
    pool has windows that went, or go, once through the pool: the very first, but for uneven use."""

    _ARRAYS = ("used_NC", "pool_NC", "natural_NC", "seed_N")

    def __init__(self, cells: CellIndex, num_slots: int) -> None:
        self.cells = cells
        self.used_NC = np.zeros((num_slots, cells.num_cells), np.int64)
        self.pool_NC = np.ones((num_slots, cells.num_cells), np.int64)
        self.pool_tokens_NC = self.pool_NC * cells.window_tokens_C
        self.natural_NC = np.tile(cells.natural_C, (num_slots, 1))
        self.seed_N = np.zeros(num_slots, np.uint64)
        self.first_turn_NC = np.zeros_like(self.used_NC)
        self._uneven: dict[int, UnevenUse] = {}  # by slot

    def reset(self, slot: int, seed: int, pool_tokens: float, natural_C: NDArray[np.float64]) -> None:
        """Start afresh with a pool of about `pool_tokens`, of which each cell has the share `natural_C`: at least one
        window unless that share is 0, and at most all windows of the cell."""
        windows_C = np.rint(pool_tokens * natural_C / self.cells.window_tokens_C)
        self.used_NC[slot] = 0
        self.pool_NC[slot] = np.clip(windows_C, natural_C > 0, self.cells.windows_C)
        self.pool_tokens_NC[slot] = self.pool_NC[slot] * self.cells.window_tokens_C
        self.natural_NC[slot] = natural_C
        self.seed_N[slot] = seed
        self.first_turn_NC[slot] = 0
        self._uneven.pop(slot, None)

    def carry_on(self, slot: int, seed: int, times_W: NDArray[np.integer]) -> None:
        """Start with all windows as the pool, of which each has been used `times_W` times, by number in the index. From
        now on those of a cell that were used least come first. `used_NC` counts on from the sums."""
        self.reset(slot, seed, float(self.cells.tokens_C.sum()), self.cells.natural_C)
        uneven = self._uneven[slot] = UnevenUse(self.cells, times_W)
        self.used_NC[slot], self.first_turn_NC[slot] = uneven.used_C, uneven.first_turn_C

    def carried(self, slot: int) -> NDArray[np.integer] | None:
        """What `carry_on` was given."""
        return self._uneven[slot].times_W if slot in self._uneven else None

    def times(self, slot: int, used_C: NDArray[np.int64]) -> NDArray[np.integer]:
        """How often each window has been used once `used_C` of each cell have been drawn, by number in the index, (W,),
        in the smallest dtype. The pool must be all windows."""
        if slot in self._uneven:
            times_W = self._uneven[slot].times_after(used_C, self.seed_N[slot])
        else:
            epoch_C, place_C = np.divmod(used_C, self.cells.windows_C)
            times_W = np.repeat(epoch_C, self.cells.windows_C)
            cell_W, back_W = _counted(place_C)
            turn_W = used_C[cell_W] - back_W
            times_W[self._even_numbers(np.array([slot]), cell_W[None], turn_W[None])[0]] += 1
        return times_W.astype(np.min_scalar_type(int(times_W.max())))

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
        width = int(count_NC.sum(axis=1).max(initial=0))
        cell_NW = np.repeat(cells.reshape(-1), count_NC.reshape(-1)).reshape(len(count_NC), width)
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
        if self._uneven:
            number_NW = np.empty(cell_NW.shape, np.int64)
            for row, slot in enumerate(slots.tolist()):
                one = slice(row, row + 1)
                number_NW[row] = (
                    self._uneven[slot].numbers(cell_NW[row], turn_NW[row], self.seed_N[slot])
                    if slot in self._uneven
                    else self._even_numbers(slots[one], cell_NW[one], turn_NW[one])
                )
            return number_NW
        return self._even_numbers(slots, cell_NW, turn_NW)

    def _even_numbers(
        self, slots: NDArray[np.intp], cell_NW: NDArray[np.int64], turn_NW: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        number_NW = np.empty(cell_NW.shape, np.int64)
        cells, turns, numbers = cell_NW.reshape(-1), turn_NW.reshape(-1), number_NW.reshape(-1)
        for part in blocks(numbers.size):
            slot = slots[np.arange(part.start, min(part.stop, numbers.size)) // cell_NW.shape[1]]
            cell, seed = cells[part], self.seed_N[slot]
            pool, label = self.pool_NC[slot, cell], cell.astype(np.uint64)
            epoch, place = np.divmod(turns[part], pool)
            member = permute(place, pool, _epoch_key(seed, label, epoch))  # which window of the pool
            window = permute(member, self.cells.windows_C[cell], hash64(seed ^ hash64(label)))  # which of the cell
            numbers[part] = self.cells.first_C[cell] + window
        return number_NW

    def state_dict(self) -> dict[str, NDArray]:
        """What the coming draws depend on."""
        uneven = {f"{TIMES}{slot}": uneven.times_W for slot, uneven in self._uneven.items()}
        return copies(self, self._ARRAYS) | uneven

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        for slot in range(len(self.seed_N)):
            if (times_W := state.get(f"{TIMES}{slot}")) is None:
                self._uneven.pop(slot, None)
                self.first_turn_NC[slot] = 0
            else:
                self.carry_on(slot, 0, times_W)
        restore(self, self._ARRAYS, state)
        self.pool_tokens_NC = self.pool_NC * self.cells.window_tokens_C


class UnevenUse:
    """In which order the windows of cells are drawn when they have been used unevenly, each `times_W` times, by number
    in the index: those that were used least come first, as often as it takes until they have been used as often as the
    next ones, and so on; then all of them, an epoch at a time.

    used_C: the sums of `times_W`. Draws of a cell are numbered on from there, so that turn // windows is the number of
    an epoch once the use is even. The draws of one stage go through the same windows again and again, each time in an
    order of its own. Memory: 8 bytes a window."""

    def __init__(self, cells: CellIndex, times_W: NDArray[np.integer]) -> None:
        self.times_W, self.first_C = times_W, cells.first_C
        cell_W = np.repeat(np.arange(cells.num_cells), cells.windows_C)
        self._order_W = np.lexsort((times_W, cell_W))  # cell by cell, the least used first
        sorted_W = times_W[self._order_W].astype(np.int64)
        sum_W = np.concatenate([[0], np.cumsum(sorted_W)])
        last_C = cells.first_C + cells.windows_C
        self.used_C = sum_W[last_C] - sum_W[cells.first_C]
        # A stage begins where a cell has windows that were used more often than those before them.
        begin = np.flatnonzero((np.diff(cell_W, prepend=-1) > 0) | (np.diff(sorted_W, prepend=-1) != 0))
        end, cell = np.append(begin[1:], len(sorted_W)), cell_W[begin]
        self._level, self._size = sorted_W[begin], end - cells.first_C[cell]
        # Windows of the stage have all been used `level` times by now, the others as often as they were.
        self._turn = self._level * self._size + sum_W[last_C[cell]] - sum_W[end]
        self._key = cell << TURN_BITS | self._turn
        self._unused_C = np.add.reduceat(times_W == 0, cells.first_C, dtype=np.int64)
        self.first_turn_C = self.used_C - (cells.windows_C - self._unused_C)

    def numbers(self, cell_W: NDArray[np.int64], turn_W: NDArray[np.int64], seed: np.uint64) -> NDArray[np.int64]:
        """As `CellSampler.windows_at`, the windows' numbers in the index; turns from `first_turn_C` up to `used_C` are
        those of the windows that had been used, once each."""
        place_W = np.empty_like(turn_W)
        for part in blocks(len(turn_W)):
            cell, turn = cell_W[part], turn_W[part]
            before = turn < self.used_C[cell]
            stage = np.searchsorted(self._key, cell << TURN_BITS | np.maximum(turn, self.used_C[cell]), "right") - 1
            rounds, place = np.divmod(turn - self._turn[stage], self._size[stage])
            key = _epoch_key(np.full(len(cell), seed), cell.astype(np.uint64), self._level[stage] + rounds)
            used = self._unused_C[cell] + turn - self.first_turn_C[cell]
            place_W[part] = np.where(before, used, permute(place, self._size[stage], key))
        return self._order_W[self.first_C[cell_W] + place_W]

    def times_after(self, used_C: NDArray[np.int64], seed: np.uint64) -> NDArray[np.int64]:
        """How often each window has been used when `used_C` windows of each cell have been drawn, (W,)."""
        cell_C = np.arange(len(used_C))
        stage = np.searchsorted(self._key, cell_C << TURN_BITS | used_C, "right") - 1
        rounds, place_C = np.divmod(used_C - self._turn[stage], self._size[stage])
        windows_C = np.diff(self.first_C, append=len(self.times_W))
        times_W = np.maximum(self.times_W, np.repeat(self._level[stage] + rounds, windows_C)).astype(np.int64)
        cell_W, back_W = _counted(place_C)  # of the round in hand
        times_W[self.numbers(cell_W, used_C[cell_W] - back_W, seed)] += 1
        return times_W


def _counted(number_C: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each cell as often as its number says, and beside it 1, 2, ... up to that number, both (W,)."""
    cell_W = np.repeat(np.arange(len(number_C)), number_C)
    return cell_W, np.arange(len(cell_W)) - np.repeat(np.cumsum(number_C) - number_C, number_C) + 1


def _epoch_key(seed: Words, cell: Words, epoch: NDArray[np.int64]) -> Words:
    """Of the order in which an epoch goes through the windows of a cell."""
    return hash64(hash64(seed + cell) + epoch.astype(np.uint64))


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
    return np.take_along_axis(ids_NW, stream(key_N, count, count).argsort(axis=1), 1)


def sums_by_cell(value_NW: NDArray[np.int64], count_NC: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums over each cell's windows, (N, C), of values (N, W) that are in the order of cells, `count_NC` of each."""
    number, sums_NC = count_NC.reshape(-1), np.zeros(count_NC.shape, np.int64)
    some = np.flatnonzero(number)
    if len(some):
        first = np.cumsum(number[some]) - number[some]
        sums_NC.reshape(-1)[some] = np.add.reduceat(value_NW.reshape(-1), first)
    return sums_NC
