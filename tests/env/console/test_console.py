"""The console against its formulas: limits, closed forms, and what it refuses."""

import numpy as np
import pytest

from pretraingym.env.console.action_map import ActionMap
from pretraingym.env.console.agent_scores import Standardiser
from pretraingym.env.console.console import Console
from pretraingym.env.console.weights import check_weights
from pretraingym.lm.io.errors import InputError

TOKENS = np.array([100.0, 200.0, 300.0, 400.0])
NATURAL = TOKENS / TOKENS.sum()
NULL, FIRST, SECOND = np.zeros(4), np.array([2.0, 0.5, -0.2, -0.6]), np.array([-1.0, 1.5, 0.3, -0.7])
Z = np.stack([NULL, FIRST, SECOND])[None]
FRESH = np.zeros((1, 4))


def shares(weights: list[float], budget: float = 1e-3, epochs: np.ndarray = FRESH, **options: object) -> np.ndarray:
    """Of one run's cells, under weights of null, the first and the second agent."""
    console = Console(**options)  # type: ignore[arg-type]
    return console.shares(np.array([weights]), Z, NATURAL[None], TOKENS[None], epochs, budget)[0]


def test_all_weight_on_null_is_natural() -> None:
    np.testing.assert_allclose(shares([1, 0, 0]), TOKENS / TOKENS.sum(), rtol=1e-6)
    np.testing.assert_allclose(shares([1, 0, 0], budget=5000.0), TOKENS / TOKENS.sum(), rtol=1e-6)


def test_short_intervals_follow_the_design_formula() -> None:
    mixed = 0.7 * FIRST + 0.3 * SECOND
    spread = np.sqrt(NATURAL @ mixed**2 - (NATURAL @ mixed) ** 2)
    epochs = np.array([[0.5, 0.0, 2.0, 0.1]])
    expected = TOKENS * np.exp(8 * 0.4 * mixed / spread - epochs[0])
    np.testing.assert_allclose(shares([0.6, 0.28, 0.12], epochs=epochs), expected / expected.sum(), rtol=1e-4)


def test_long_intervals_equal_many_short_ones() -> None:
    epochs = np.zeros((1, 4))
    spent = np.zeros(4)
    for _ in range(2000):
        part = shares([0.5, 0.5, 0.0], budget=1.0, epochs=epochs) * 1.0
        spent += part
        epochs = epochs + part / TOKENS
    np.testing.assert_allclose(shares([0.5, 0.5, 0.0], budget=2000.0), spent / spent.sum(), rtol=2e-3)


def test_agents_that_cancel_out_select_nothing() -> None:
    z = np.stack([NULL, FIRST, -FIRST])[None]
    mixed = Console().mixed_score(np.array([[0.2, 0.4, 0.4]]), z, NATURAL[None])
    np.testing.assert_allclose(mixed, 0, atol=1e-12)


def test_topk_fills_whole_cells_by_score() -> None:
    picked = shares([0, 1, 0], mode="topk", top_share=0.2)
    np.testing.assert_allclose(picked, [0.5, 0.5, 0, 0])  # 200 of 1,000 tokens: all of the best cell, half of the next


@pytest.mark.parametrize("num_cells", [3, 455, 20_000])
def test_a_run_does_not_depend_on_its_company(num_cells: int) -> None:
    rng, num_runs, num_agents = np.random.default_rng(0), 7, 4
    z = rng.normal(size=(num_runs, num_agents, num_cells))
    weights = rng.dirichlet(np.ones(num_agents), num_runs)
    natural, epochs = rng.dirichlet(np.ones(num_cells), num_runs), rng.exponential(1, (num_runs, num_cells))
    pool = natural * 1e6
    together = Console().shares(weights, z, natural, pool, epochs, 1e4)
    for run in range(num_runs):
        one = slice(run, run + 1)
        alone = Console().shares(weights[one], z[one], natural[one], pool[one], epochs[one], 1e4)
        np.testing.assert_array_equal(alone[0], together[run], err_msg=f"run {run}")


@pytest.mark.parametrize("wrong", [{"beta": float("nan")}, {"min_spread": 0.0}, {"top_share": -1.0}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected numbers from 0 up, above 0, and above 0 up to 1"):
        Console(**wrong)  # type: ignore[arg-type]


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match="console mode is 'best', expected 'softmax' or 'topk'"):
        Console(mode="best")


def test_standardised_scores_have_mean_zero_and_deviation_one_over_tokens() -> None:
    scores = np.random.default_rng(0).normal(5, 3, (2, 3, 4))
    z = Standardiser.of(scores, np.tile(NATURAL, (2, 1)))(scores)
    np.testing.assert_allclose(z @ NATURAL, 0, atol=1e-12)
    np.testing.assert_allclose(z**2 @ NATURAL, 1)
    constant = np.full((1, 1, 4), 7.0)
    assert (Standardiser.of(constant, NATURAL[None])(constant) == 0).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[0.5, 0.5]], r"shape \(1, 2\), expected \(1, 3\)"),
        ([[0.5, np.nan, 0.5]], "NaN or infinity"),
        ([[0.5, 0.4, 0.3]], "not a simplex"),
        ([[1.5, -0.5, 0.0]], "not a simplex"),
        ([[0.5, 0.0, 0.5]], "not a simplex over the present agents"),
    ],
)
def test_weights_off_the_simplex_are_refused(weights: list[list[float]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_weights(np.array(weights), np.array([[True, True, False]]))


@pytest.mark.parametrize("num_agents", [1, 2, 7, 64])
def test_action_map_gives_the_base_at_zero_and_simplices_elsewhere(num_agents: int) -> None:
    action_map, mask = ActionMap(floor=0.0), np.ones((1, num_agents), bool)
    base = action_map.weights(np.zeros((1, num_agents)), mask)[0]
    assert base[0] == pytest.approx(0.75 if num_agents > 1 else 1.0)
    np.testing.assert_allclose(base[1:], 0.25 / max(num_agents - 1, 1))
    rng = np.random.default_rng(0)
    mask = rng.random((50, num_agents)) < 0.6
    mask[:, 0] = True
    weights = ActionMap().weights(rng.uniform(-3, 3, (50, num_agents)), mask)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights[~mask] == 0).all()
    assert (weights[mask] >= 0.02 / num_agents - 1e-12).all()
