"""The mixture nearest to a wish under linear bounds, against a general solver and against closed forms."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from pretraingym.env.console.limited_cells import least_divergence


def divergence(share: np.ndarray, wish: np.ndarray) -> float:
    return float((share * np.log(np.maximum(share, 1e-300) / wish)).sum())


def test_one_category_at_most() -> None:
    """The rest keeps its proportions."""
    wish, row = np.array([0.6, 0.3, 0.1]), np.array([[1.0, 0, 0]])
    np.testing.assert_allclose(least_divergence(wish, row, np.array([0.2])), [0.2, 0.6, 0.2], atol=1e-7)
    np.testing.assert_allclose(least_divergence(wish, row, np.array([0.0]))[1:], [0.75, 0.25], atol=1e-7)


def test_a_wish_that_keeps_the_bounds_is_granted_to_the_bit() -> None:
    wish = np.random.default_rng(0).dirichlet(np.ones(5))
    np.testing.assert_array_equal(least_divergence(wish, np.eye(5), wish), wish)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(2, 7), count=st.integers(1, 4))
def test_against_a_general_solver(seed: int, size: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    wish, inside = rng.dirichlet(np.ones(size)) + 1e-3, rng.dirichlet(np.ones(size))
    wish /= wish.sum()
    rows = rng.integers(-1, 2, (count, size)) * rng.uniform(0.5, 1)
    bounds = rows @ inside + 0.01
    found = least_divergence(wish, rows, bounds)
    assert found.sum() == pytest.approx(1)
    assert (rows @ found <= bounds + 1e-5).all()
    solved = minimize(
        divergence,
        inside,
        args=(wish,),
        bounds=[(1e-9, 1)] * size,
        constraints=[LinearConstraint(rows, -np.inf, bounds), LinearConstraint(np.ones(size), 1, 1)],
        method="SLSQP",
    )
    assume(solved.success)
    assert divergence(found, wish) <= divergence(solved.x, wish) + 1e-4
