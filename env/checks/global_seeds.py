"""The global random generators, on which no agent may depend: seeded for a check, and put back after it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def global_seeds(seed: int) -> Iterator[None]:
    """Inside, the generators of random, numpy.random and torch (CPU) start from `seed`; afterwards they go on as
    before."""
    import torch  # here, because importing it takes seconds

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - this very generator
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.set_rng_state(before[2])
