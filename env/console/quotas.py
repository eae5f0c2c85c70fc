"""Quotas: draws that keep hard limits exactly, whatever the mixture asks for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words
from ..cells.sampler import CellSampler, sums_by_cell
from .limited_cells import Array, Counts, LimitedCells, Progress

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
    """Chooses how many windows come from each cell of one run, in slot `slot` of `sampler`, so that its limits hold.

    At every interval tokens drawn of a category stay at or below its epochs, and at or above its share of all tokens so
    far, as far as whole windows allow; at the end of the run both hold exactly. Tokens are counted window by window.
    The mixture is the closest one that keeps the limits now. Where the run could then not keep them to its end, it goes
    as far as needed towards a plan for the rest of the run that does.

    lengths: tokens of windows by their ids."""

    def __init__(
        self, cells: LimitedCells, sampler: CellSampler, slot: int, lengths: Callable[[Counts], Counts]
    ) -> None:
        self.cells, self.sampler, self.lengths = cells, sampler, lengths
        self.slots = np.array([slot], np.intp)

    def choose(self, share_C: Array, drawn_C: Counts, count: int, windows_left: int, key_N: Words) -> Trial:
        """The coming `count` windows of a run that has `windows_left` with them and has drawn `drawn_C` tokens of each
        cell, under the mixture `share_C` of tokens. key_N: (1,), as in `CellSampler.counts`."""
        slot, cells = self.slots[0], self.cells
        at = Progress(self.sampler.used_NC[slot], drawn_C, windows_left)
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
