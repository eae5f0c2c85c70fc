"""Quotas: draws that keep hard limits exactly, whatever the mixture asks for."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.corpus.windows import Windows
from ...lm.io.errors import InputError
from ...lm.keyed_random import Words
from ..cells.sampler import CellSampler, sums_by_cell
from .feasibility import check_limits
from .limited_cells import Array, Counts, LimitedCells, Progress
from .limits import Limit

MARGIN = 2.0  # windows by which the rest of a run must be able to keep each limit: what rounding may take of it
HALVINGS = 5  # of the search between the closest mixture and the plan that is safe
UNWANTED = 1e-9  # share of natural in every wish, so that a limit finds text in a category that the policy leaves out


@dataclass(frozen=True)
class Draft:
    """Whole windows of each cell, their tokens, and the mixture in windows that they follow, each (C,)."""

    count_C: Counts
    tokens_C: Counts
    target_C: Array

    def scores(self, room_C: Array) -> tuple[Array, Array]:
        """How far each cell is above its target, and below it, (C,); minus infinity where it has no window to give, or
        no room for another."""
        above_C = self.count_C - self.target_C
        return np.where(self.count_C > 0, above_C, -np.inf), np.where(self.count_C < room_C, -above_C, -np.inf)


@dataclass(frozen=True)
class Trial(Draft):
    """A draft that was tried. excess: (M,), tokens by which each limit is broken, 0 where it is kept; later: whether
    the rest of the run can keep them all."""

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

    def check_rest(self, at: Progress) -> None:
        """InputError: a run that has come so far, from all windows of the cells, cannot keep the limits to its end."""

        def possible(some: Sequence[Limit]) -> bool:
            limited = LimitedCells(some, self.columns, cells, cells.windows_C, self.windows.context)
            if not at.windows_left:
                return bool((limited.bounds(at.drawn_C)[1] > -0.5).all())  # tokens, which are whole
            return limited.plan(at, MARGIN) is not None

        cells = self.sampler.cells
        if not self.limits or possible(self.limits):
            return
        broken = [limit for limit in self.limits if not possible([limit])] or self.limits
        raise InputError(
            f"the {at.windows_left:,} windows that are still to be drawn cannot keep "
            f"{', '.join(f'--{limit}' for limit in broken)} on this corpus: give its documents the labels that they "
            "had, or start anew in another folder"
        )

    def counts(
        self, slots: NDArray[np.intp], share_NC: Array, drawn_NC: Counts, left_N: Counts, count: int, key_N: Words
    ) -> tuple[Array, Counts]:
        """For each of the N runs in `slots` the mixture of tokens, (N, C), that keeps the limits and is near to
        `share_NC`, and how many of the coming `count` windows come from each cell, (N, C). drawn_NC: tokens drawn from
        the cells so far; left_N: the windows of the rest of each run, with these; key_N: as in `CellSampler.counts`."""
        if not self.limits:
            return share_NC, self.sampler.counts(share_NC, count, key_N)
        trials = [
            self._run(slot).choose(share_NC[row], drawn_NC[row], int(left_N[row]), count, key_N[row : row + 1])
            for row, slot in enumerate(slots.tolist())
        ]
        for trial, left in zip(trials, left_N.tolist(), strict=True):
            if left == count and trial.excess.any():
                self._warn_of(trial)
        tokens_NC = np.stack([trial.target_C for trial in trials]) * self.sampler.cells.window_tokens_C
        return tokens_NC / tokens_NC.sum(1, keepdims=True), np.stack([trial.count_C for trial in trials])

    def _warn_of(self, trial: Trial) -> None:
        """Tell which limits a run does not end within, which checking them first should rule out."""
        broken = zip(self.limits, trial.excess.tolist(), strict=True)
        told = ", ".join(f"--{limit} by {excess:,.0f} tokens" for limit, excess in broken if excess)
        warnings.warn(
            f"no exchange of whole windows at the run's end keeps {told}: the model is past these limits by that many "
            "tokens. Where they must hold, train again with limits a little tighter",
            stacklevel=2,
        )

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

    def choose(self, share_C: Array, drawn_C: Counts, windows_left: int, count: int, key_N: Words) -> Trial:
        """The coming `count` of the `windows_left` of a run, when `drawn_C` tokens were drawn of each cell, under the
        mixture `share_C` of tokens. key_N: (1,), as in `CellSampler.counts`."""
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
        """Whole windows near `target_C`, exchanged until they keep the limits or no exchange helps any more."""
        share_C = target_C * self.cells.cells.window_tokens_C
        count_C = self.sampler.counts((share_C / share_C.sum())[None], count, key_N)[0]
        room_C = self.cells.room(at.used_C)
        count_C = _within(count_C, target_C, room_C)
        tokens_C = sums_by_cell(self.lengths(self.sampler.coming(self.slots, count_C[None])), count_C[None])[0]
        draft = Draft(count_C, tokens_C, target_C)
        excess = self._exchange(draft, at)
        then = at.after(draft.count_C, draft.tokens_C)
        later = then.windows_left == 0 or self.cells.plan(then, MARGIN) is not None
        return Trial(draft.count_C, draft.tokens_C, target_C, excess, later)

    def _exchange(self, draft: Draft, at: Progress) -> Array:
        """Exchange windows of the draft between groups as long as this lessens what breaks the limits -> by how many
        tokens each is broken then, (M,)."""
        coefficient, bound = self.cells.bounds(at.drawn_C)

        def over(of: Draft) -> Array:
            return coefficient @ self.cells.sums(of.tokens_C) - bound

        excess = over(draft)
        while (broken := np.maximum(excess, 0.0).sum()) > 0:
            found = self._best_pair(draft, at, coefficient, excess)
            if found is None or found[2] >= broken:
                break
            source, goal, left = found
            # Half of what is needed at once, if that helps as one does.
            for number in (max(1, int(broken / (broken - left) / 2)), 1):
                swapped = self._swapped(draft, at, source, goal, number)
                if np.maximum(over(swapped), 0.0).sum() < broken:
                    break
            draft.count_C[:], draft.tokens_C[:] = swapped.count_C, swapped.tokens_C
            excess = over(draft)
        return np.maximum(excess, 0.0)

    def _best_pair(self, draft: Draft, at: Progress, coefficient: Array, over: Array) -> tuple[int, int, float] | None:
        """The two groups between which the exchange of one window leaves the least broken: the one that gives it up,
        the one that takes another in, and how many tokens are broken then. None: no exchange is possible."""
        group_C = self.cells.group_C
        given, taken = (_first_of_groups(group_C, score_C) for score_C in draft.scores(self.cells.room(at.used_C)))
        if not len(given) or not len(taken):
            return None
        less = coefficient[:, group_C[given]] * self._lengths_at(given, at.used_C + draft.count_C - 1)
        more = coefficient[:, group_C[taken]] * self._lengths_at(taken, at.used_C + draft.count_C)
        left = np.maximum(over[:, None, None] + more[:, None, :] - less[:, :, None], 0.0).sum(axis=0)
        left[group_C[given][:, None] == group_C[taken]] = np.inf
        # Of equal exchanges, the one that brings the counts nearest to the target.
        nearer = (draft.count_C - draft.target_C)[given][:, None] + (draft.target_C - draft.count_C)[taken]
        best = np.lexsort((-nearer.ravel(), left.ravel()))[0]
        source, goal = np.unravel_index(best, left.shape)
        return int(group_C[given[source]]), int(group_C[taken[goal]]), float(left.flat[best])

    def _swapped(self, draft: Draft, at: Progress, source: int, goal: int, number: int) -> Draft:
        """The draft with up to `number` windows of the group `source` exchanged for windows of `goal`, one a cell."""
        surplus_C, lack_C = draft.scores(self.cells.room(at.used_C))
        given, taken = (self._leading(group, score_C) for group, score_C in ((source, surplus_C), (goal, lack_C)))
        number = min(number, len(given), len(taken))
        given, taken = given[:number], taken[:number]
        count_C, tokens_C = draft.count_C.copy(), draft.tokens_C.copy()
        tokens_C[given] -= self._lengths_at(given, at.used_C + count_C - 1)
        tokens_C[taken] += self._lengths_at(taken, at.used_C + count_C)
        count_C[given] -= 1
        count_C[taken] += 1
        return Draft(count_C, tokens_C, draft.target_C)

    def _leading(self, group: int, score_C: Array) -> NDArray[np.intp]:
        """The cells of a group that have a finite score, the highest first."""
        cell = np.flatnonzero((self.cells.group_C == group) & np.isfinite(score_C))
        return cell[np.argsort(-score_C[cell], kind="stable")]

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
