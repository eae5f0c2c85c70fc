"""How a budget is spent on cells, against root finding on the plain sum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from pretraingym.env.cells.budget import spend


def by_root(log_rate: np.ndarray, pool: np.ndarray, budget: float) -> np.ndarray:
    """What `spend` gives one run, by a root finder."""

    def spent(log_tau: float) -> np.ndarray:
        return pool * np.logaddexp(0.0, log_rate + log_tau)

    high = (budget - (pool * log_rate).sum()) / pool.sum() + 1
    low = -log_rate.max() + np.log(budget / pool.sum()) - 1
    log_tau = brentq(lambda x: spent(x).sum() - budget, low, high, xtol=1e-13, rtol=1e-14)
    return spent(log_tau)


def some_cells(num_cells: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return spread * rng.uniform(-1, 1, num_cells), rng.lognormal(0, 3, num_cells)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 50), st.floats(0, 130), st.floats(-9, 3.5), st.integers(0, 2**32), st.floats(-20, 20))
def test_few_cells(num_cells: int, spread: float, log10_epochs: float, seed: int, origin: float) -> None:
    """From a billionth of the pool to thousands of epochs, and scores of any origin."""
    log_rate, pool = some_cells(num_cells, spread, seed)
    budget = 10**log10_epochs * pool.sum()
    spent = spend((log_rate + origin)[None], pool[None], budget)[0]
    assert spent.sum() == pytest.approx(budget, rel=2e-9)
    np.testing.assert_allclose(spent, by_root(log_rate, pool, budget), rtol=1e-8)


@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0, 20.0, 133.0])
@pytest.mark.parametrize("epochs", [1e-6, 1e-2, 1.0, 300.0])
def test_many_cells(spread: float, epochs: float) -> None:
    """So many that they are computed by bins."""
    log_rate, pool = some_cells(50_000, spread)
    budget = epochs * pool.sum()
    np.testing.assert_allclose(
        spend(log_rate[None].copy(), pool[None], budget)[0], by_root(log_rate, pool, budget), rtol=1e-8
    )


@pytest.mark.parametrize("gap", [40.0, 200.0, 1000.0])
def test_a_tiny_favoured_cell_does_not_take_it_all(gap: float) -> None:
    """The favoured cell has a billionth of the text: even many times over that is not the budget, and the rest must
    come from the other cell."""
    log_rate, pool = np.array([0.0, -gap]), np.array([1e-9, 1.0])
    spent = spend(log_rate[None].copy(), pool[None], 1e-3)[0]
    assert spent.sum() == pytest.approx(1e-3, rel=2e-9)
    np.testing.assert_allclose(spent, by_root(log_rate, pool, 1e-3), rtol=1e-8)


def test_bins_are_as_many_as_the_lowest_rate_needs() -> None:
    """.47 / .01 is rounded below 47, and .47 * 100 is not: the last cell once fell out of the last bin."""
    log_rate, pool = -np.linspace(0, 0.47, 100), np.ones(100)
    np.testing.assert_allclose(
        spend(log_rate[None].copy(), pool[None], 30.0)[0], by_root(log_rate, pool, 30.0), rtol=1e-8
    )


def test_a_run_does_not_depend_on_its_company() -> None:
    """Some runs are computed by bins and some are not; bit for bit."""
    cells = [some_cells(300, spread, seed) for seed, spread in enumerate((0.0, 0.5, 1.4, 3.0, 60.0))]
    log_rate, pool = (np.stack(parts) for parts in zip(*cells, strict=True))
    together = spend(log_rate.copy(), pool, 50.0)
    for run in range(len(pool)):
        alone = spend(log_rate[run : run + 1].copy(), pool[run : run + 1], 50.0)
        np.testing.assert_array_equal(together[run], alone[0], err_msg=f"run {run}")
