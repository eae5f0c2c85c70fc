"""The hidden controls: which episode each is in, and how far its loss fell in every interval."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import State
from ..episode import Interval

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Pair = tuple[int, int]  # of a group and the number of an episode


class Controls:
    """One run under natural a group, in the slots from `first_slot` on, for every episode of the group once.

    It moves with the foremost of its group's slots and never back: the slots behind (they diverged, or were begun
    anew later) are paired with what was recorded, which is kept until no slot of the group can come to it. A control
    that diverged stands still. num_controls: that of the groups, or 0: then all falls are 0."""

    def __init__(self, num_controls: int, first_slot: int, num_intervals: int) -> None:
        self.num_controls, self.first_slot, self.num_intervals = num_controls, first_slot, num_intervals
        self.number_of = np.zeros(num_controls, np.int64)
        self.curves: dict[Pair, list[float]] = {}  # falls, nats, of the intervals so far

    def clear(self) -> None:
        self.curves.clear()

    def missing(self, pairs: list[Pair]) -> list[Pair]:
        """The pairs for which no control has begun, sorted, without repeats."""
        return sorted({pair for pair in pairs if pair not in self.curves}) if self.num_controls else []

    def begin(self, pairs: list[Pair]) -> None:
        for group, number in pairs:
            self.number_of[group], self.curves[group, number] = number, []

    def unfinished(self, groups: list[int]) -> Bools:
        """Which of these groups' controls have not come to the end of their episode -> (G,), (0,) without controls."""
        left = [group in groups and self._length(group) < self.num_intervals for group in range(self.num_controls)]
        return np.array(left, bool)

    def needed(self, group_N: Ints, number_N: Ints, interval_N: Ints, active_N: Bools) -> Bools:
        """Which controls must train now -> (G,): those with an active slot whose interval they have not recorded."""
        needed = np.zeros(self.num_controls, bool)
        for slot in np.flatnonzero(active_N) if self.num_controls else ():
            group = int(group_N[slot])
            needed[group] |= len(self.curves[group, int(number_N[slot])]) <= interval_N[slot]
        return needed

    def record(self, interval: Interval, active_G: Bools) -> None:
        """Append the active controls' falls in this interval to their curves."""
        for group in map(int, np.flatnonzero(active_G)):
            slot, curve = self.first_slot + group, self.curves[group, int(self.number_of[group])]
            diverged = interval.diverged_N[slot]
            curve.append(0.0 if diverged else float(interval.fall_N[slot]))
            if diverged:  # it stands still from here on
                curve.extend([0.0] * (self.num_intervals - len(curve)))

    def falls(self, group_N: Ints, number_N: Ints, interval_N: Ints, active_N: Bools) -> NDArray[np.float64]:
        """How far the loss of each slot's control fell in the slot's interval -> (N,) nats, 0 where not active."""
        falls = np.zeros(len(group_N))
        for slot in np.flatnonzero(active_N) if self.num_controls else ():
            falls[slot] = self.curves[int(group_N[slot]), int(number_N[slot])][interval_N[slot]]
        return falls

    def total_falls(self, group_N: Ints, number_N: Ints, interval_N: Ints) -> NDArray[np.float64]:
        """How far the loss of each slot's control had fallen when the slot's interval was the present one -> (N,)
        nats, 0 without controls."""
        falls = np.zeros(len(group_N))
        for slot in range(len(group_N)) if self.num_controls else ():
            falls[slot] = sum(self.curves[int(group_N[slot]), int(number_N[slot])][: interval_N[slot]])
        return falls

    def forget(self, oldest_G: list[int]) -> None:
        """Drop the curves of episodes before the oldest that a slot of the group is in."""
        self.curves = {pair: curve for pair, curve in self.curves.items() if pair[1] >= oldest_G[pair[0]]}

    def state_dict(self) -> State:
        """`pairs` are groups and numbers, `falls` their curves in nats, NaN where an interval is yet to come."""
        falls = np.full((len(self.curves), self.num_intervals), np.nan)
        for row, curve in zip(falls, self.curves.values(), strict=True):
            row[: len(curve)] = curve
        pairs = np.array(list(self.curves), np.int64).reshape(-1, 2)
        return {"number": self.number_of.copy(), "pairs": pairs, "falls": falls}

    def load_state_dict(self, state: State) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.number_of = state["number"].copy()
        self.curves = {
            (group, number): curve[~np.isnan(curve)].tolist()
            for (group, number), curve in zip(state["pairs"].tolist(), state["falls"], strict=True)
        }

    def _length(self, group: int) -> int:
        return len(self.curves.get((group, int(self.number_of[group])), [0.0] * self.num_intervals))
