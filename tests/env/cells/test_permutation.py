"""The stateless permutation against its definition: every index of range(size) exactly once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from pretraingym.env.cells.permutation import permute
from pretraingym.lm.keyed_random import hash64


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
def test_is_a_permutation(size: int, key: int) -> None:
    places = permute(np.arange(size), np.full(size, size), np.full(size, key, np.uint64))
    assert sorted(places) == list(range(size))


def test_keys_give_unrelated_orders() -> None:
    size = 10_000
    orders = [permute(np.arange(size), np.full(size, size), np.full(size, key, np.uint64)) for key in (1, 2)]
    assert abs(np.corrcoef(orders[0], orders[1])[0, 1]) < 0.05
    assert abs(np.corrcoef(orders[0], np.arange(size))[0, 1]) < 0.05
    assert (orders[0] == orders[1]).sum() < 10


def test_sizes_may_differ_between_elements() -> None:
    size = np.array([1, 2, 3, 1000, 10**12])
    place = permute(size - 1, size, np.arange(5, dtype=np.uint64))
    assert ((place >= 0) & (place < size)).all()


@pytest.mark.parametrize("size", [2, 3, 5, 6, 7, 100])
def test_every_place_is_as_likely(size: int) -> None:
    """Over keys, in small ranges too."""
    keys = hash64(np.arange(20_000, dtype=np.uint64))
    for index in (0, size - 1):
        places = permute(np.full(len(keys), index), np.full(len(keys), size), keys)
        assert chisquare(np.bincount(places, minlength=size)).pvalue > 0.001
