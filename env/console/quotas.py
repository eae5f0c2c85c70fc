"""Quotas: draws that keep hard limits exactly, whatever the mixture asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.corpus.windows import Windows
from ...lm.keyed_random import Words
from ..cells.sampler import CellSampler, sums_by_cell
from .feasibility import check_limits
from .limited_cells import Array, Counts, LimitedCells, Progress
from .limits import Limit

MARGIN = 2.0  # windows by which the rest of a run must be able to keep each limit: what rounding may take of it
HALVINGS = 5  # of the search between the closest mixture and the plan that is safe
UNWANTED = 1e-9  # share of natural in every wish, so that a limit finds text in a category that the policy leaves out


@dataclass(frozen=True)
class Trial:
    """Whole windows of each cell, their tokens, and the mixture in windows that they follow, each (C,). excess: (M,),
    tokens by which each limit is broken, 0 where it is kept; later: whether the rest of the run can keep them all."""

    count_C: Counts
    tokens_C: Counts
    target_C: Array
    excess: Array
    later: bool

    @property
    def kept(self) -> bool:
        return self.later and not self.excess.any()


class Quotas:
    """Limits on N runs that `sampler` draws, each of `total_windows`. columns: the label columns, in the order of the
    cells' labels."""

    def __init__(
        self,
        limits: Sequence[Limit],
        columns: Mapping[str, Labels],
        sampler: CellSampler,
        windows: Windows,
        total_windows: int,
    ) -> None:
        self.limits, self.columns, self.sampler = tuple(limits), columns, sampler
        self.windows, self.total_windows = windows, total_windows
        self._runs: dict[int, RunQuotas] = {}  # by slot

    def check(self, slot: int) -> None:
        """InputError: the limits cannot be kept in a run from the pool of `slot`."""
        if self.limits:
            cells, pool_C = self.sampler.cells, self.sampler.pool_NC[slot]
            check_limits(self.limits, self.columns, cells, pool_C, self.windows.context, self.total_windows)

    def counts(
        self, slots: NDArray[np.intp], share_NC: Array, drawn_NC: Counts, count: int, key_N: Words
    ) -> tuple[Array, Counts]:
        """For each of the N runs in `slots` the mixture of tokens, (N, C), that keeps the limits and is near to
        `share_NC`, and how many of the coming `count` windows come from each cell, (N, C). drawn_NC: tokens drawn from
        the cells so far; key_N: as in `CellSampler.counts`."""
        if not self.limits:
            return share_NC, self.sampler.counts(share_NC, count, key_N)
        trials = [
            self._run(slot).choose(share_NC[row], drawn_NC[row], count, self.total_windows, key_N[row : row + 1])
            for row, slot in enumerate(slots.tolist())
        ]
        tokens_NC = np.stack([trial.target_C for trial in trials]) * self.sampler.cells.window_tokens_C
        return tokens_NC / tokens_NC.sum(1, keepdims=True), np.stack([trial.count_C for trial in trials])

    def _run(self, slot: int) -> "RunQuotas":
        """The quotas of one run, made anew when its pool is another one."""
        pool_C, run = self.sampler.pool_NC[slot], self._runs.get(slot)
        if run is None or not np.array_equal(run.cells.pool_C, pool_C):
            limited = LimitedCells(self.limits, self.columns, self.sampler.cells, pool_C.copy(), self.windows.context)
            run = self._runs[slot] = RunQuotas(limited, self.sampler, slot, self.windows.lengths)
        return run


class RunQuotas:
    """Chooses how many windows come from each cell of one run, in slot `slot` of `sampler`, so that its limits hold.

    After every interval tokens drawn of a category are at or below its epochs, and at or above its share of all tokens
    so far, as far as whole windows allow; at the end of the run both hold exactly. Tokens are counted window by window.
    The mixture is the closest one that keeps the limits now. Where the run could then not keep them to its end, it goes
    as far as needed towards a plan for the rest of the run that does.

    lengths: tokens of windows by their ids."""

    def __init__(
        self, cells: LimitedCells, sampler: CellSampler, slot: int, lengths: Callable[[Counts], Counts]
    ) -> None:
        self.cells, self.sampler, self.lengths = cells, sampler, lengths
        self.slots = np.array([slot], np.intp)

    def choose(self, share_C: Array, drawn_C: Counts, count: int, total_windows: int, key_N: Words) -> Trial:
        """The coming `count` of a run's `total_windows`, when `drawn_C` tokens were drawn of each cell, under the
        mixture `share_C` of tokens. key_N: (1,), as in `CellSampler.counts`."""
        slot, cells = self.slots[0], self.cells
        used_C = self.sampler.used_NC[slot]
        at = Progress(used_C, drawn_C, total_windows - int(used_C.sum()))
        wish_C = (share_C + UNWANTED * self.sampler.natural_NC[slot]) / cells.cells.window_tokens_C
        closest_C = cells.closest(wish_C * count / wish_C.sum(), at, count)
        best = self._trial(closest_C, at, count, key_N)
        if best.kept:
            return best
        safe_C = self._safe(at, count)
        if safe_C is None:
            return best
        safe = self._trial(safe_C, at, count, key_N)
        if not safe.kept:
            return min((best, safe), key=lambda trial: (not trial.later, trial.excess.sum()))
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            part = (low + high) / 2
            trial = self._trial((1 - part) * closest_C + part * safe_C, at, count, key_N)
            if trial.kept:
                safe, high = trial, part
            else:
                low = part
        return safe

    def _safe(self, at: Progress, count: int) -> Array | None:
        """The coming windows of each cell, (C,), by a plan that keeps the limits to the end; None if there is none."""
        cells = self.cells
        plan = next((plan for margin in (MARGIN, 0.0) if (plan := cells.plan(at, margin)) is not None), None)
        if plan is None:
            return None
        steady_C = cells.steady(at.used_C)
        part = plan / np.maximum(cells.sums(steady_C), 1e-300) * count / at.windows_left
        return steady_C * part[cells.group_C]

    def _trial(self, target_C: Array, at: Progress, count: int, key_N: Words) -> Trial:
        """Whole windows near `target_C`, exchanged one by one until they keep the limits or none helps any more."""
        share_C = target_C * self.cells.cells.window_tokens_C
        count_C = self.sampler.counts((share_C / share_C.sum())[None], count, key_N)[0]
        room_C = self.cells.room(at.used_C)
        count_C = _within(count_C, target_C, room_C)
        tokens_C = sums_by_cell(self.lengths(self.sampler.coming(self.slots, count_C[None])), count_C[None])[0]
        excess = self._exchange(count_C, tokens_C, target_C, at, room_C)
        then = at.after(count_C, tokens_C)
        later = then.windows_left == 0 or self.cells.plan(then, MARGIN) is not None
        return Trial(count_C, tokens_C, target_C, excess, later)

    def _exchange(self, count_C: Counts, tokens_C: Counts, target_C: Array, at: Progress, room_C: Array) -> Array:
        """Exchange windows between groups, in place, as long as this lessens what breaks the limits -> by how many
        tokens each is broken then, (M,)."""
        cells = self.cells
        coefficient, bound = cells.bounds(at.drawn_C)
        while True:
            over = coefficient @ cells.sums(tokens_C) - bound
            broken = np.maximum(over, 0.0).sum()
            if not broken:
                break
            given = _first_of_groups(cells.group_C, np.where(count_C > 0, count_C - target_C, -np.inf))
            taken = _first_of_groups(cells.group_C, np.where(count_C < room_C, target_C - count_C, -np.inf))
            if not len(given) or not len(taken):
                break
            less = self._lengths_at(given, at.used_C + count_C - 1)
            more = self._lengths_at(taken, at.used_C + count_C)
            change = (coefficient[:, cells.group_C[taken]] * more)[:, None, :]  # (M, given, taken)
            change = change - (coefficient[:, cells.group_C[given]] * less)[:, :, None]
            left = np.maximum(over[:, None, None] + change, 0.0).sum(axis=0)
            left[cells.group_C[given][:, None] == cells.group_C[taken]] = np.inf
            # Of equal exchanges, the one that brings the counts nearest to the target.
            apart = (target_C - count_C)[taken][None, :] + (count_C - target_C)[given][:, None]
            best = np.unravel_index(np.lexsort((-apart.ravel(), left.ravel()))[0], left.shape)
            if left[best] >= broken:
                break
            source, goal = given[best[0]], taken[best[1]]
            count_C[source] -= 1
            tokens_C[source] -= less[best[0]]
            count_C[goal] += 1
            tokens_C[goal] += more[best[1]]
        return np.maximum(over, 0.0)

    def _lengths_at(self, cell: NDArray[np.intp], turn_C: Counts) -> Counts:
        """Tokens of one window of each of these cells."""
        return self.lengths(self.sampler.windows_at(self.slots, cell[None], turn_C[cell][None]))[0]


def _within(count_C: Counts, target_C: Array, room_C: Array) -> Counts:
    """Counts that no cell's room is exceeded by: the surplus goes to the cells that are furthest below their target."""
    within_C = np.minimum(count_C, room_C).astype(np.int64)
    while surplus := int(count_C.sum() - within_C.sum()):
        open_C = np.flatnonzero(within_C < room_C)
        if not len(open_C):
            return count_C  # there is less text than is drawn
        order = np.argsort(-(target_C - within_C)[open_C], kind="stable")
        within_C[open_C[order[:surplus]]] += 1
    return within_C


def _first_of_groups(group_C: NDArray[np.intp], score_C: Array) -> NDArray[np.intp]:
    """The cell with the highest score in each group that has a finite one."""
    order = np.lexsort((-score_C, group_C))
    first = order[np.flatnonzero(np.diff(group_C[order], prepend=-1))]
    return first[np.isfinite(score_C[first])]
