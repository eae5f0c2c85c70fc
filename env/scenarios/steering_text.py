"""Which validation documents of the reference tasks steer a run: all, or the few that its scenario has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words, hash64
from ..cells.permutation import permute


@dataclass(frozen=True)
class SteeringText:
    """The documents that lift and influence are measured on. number_N: how many of each reference task steer each run,
    0 for all; key_N: which ones.

    A user with a reference of 12 documents has no more to steer by. The loss that is measured and rewarded is over all
    validation documents, or a policy would be rewarded for fitting the 12."""

    number_N: NDArray[np.int64]
    key_N: Words

    def documents(self, run: int, task: int, count: int) -> NDArray[np.intp]:
        """Which of the task's `count` documents steer run `run`, rising positions."""
        number = int(self.number_N[run])
        return _chosen(number if 0 < number < count else count, count, int(self.key_N[run]) ^ task)

    def mask(self, count_T: Sequence[int]) -> NDArray[np.bool_]:
        """Whether each document of all tasks, task by task, steers each run, (N, D)."""
        mask_ND = np.ones((len(self.number_N), sum(count_T)), bool)
        start_T = np.cumsum([0, *count_T])
        for run in np.flatnonzero(self.number_N):
            mask_ND[run] = False
            for task, count in enumerate(count_T):
                mask_ND[run, start_T[task] + self.documents(run, task, count)] = True
        return mask_ND


@lru_cache(maxsize=4096)
def _chosen(number: int, count: int, key: int) -> NDArray[np.intp]:
    place = np.arange(number)
    if number < count:
        key_of_all = hash64(np.full(number, key, np.uint64))
        place = np.sort(permute(place, np.full(number, count), key_of_all))
    place.setflags(write=False)  # the cache gives the same to all
    return place.astype(np.intp, copy=False)
