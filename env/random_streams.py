"""The random streams of a run: what each is for, and the keys that its numbers come from."""

import numpy as np
from numpy.typing import NDArray

from ..lm.keyed_random import Words, hash64

DRAW, PROBE, INFLUENCE, VALIDATION, FINAL = range(5)


def stream_keys(seed_N: NDArray[np.int64], purpose: int, interval_N: NDArray[np.int64]) -> Words:
    """One a run, (N,), for the random numbers of that purpose in this interval, the warm-up counted as 0."""
    key_N = hash64(hash64(seed_N.astype(np.uint64)) + np.uint64(purpose))
    return hash64(key_N + interval_N.astype(np.uint64))
