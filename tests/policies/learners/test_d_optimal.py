"""D-optimal tries what tells most, and finds the best of what is linear in logarithms of the weights."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.policies.learners.d_optimal import PRIOR, DOptimal, d_optimal, log_terms
from pretraingym.policies.learners.learning import learned_actor
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

AGENTS = ("null", "a", "b", "c", "d")  # the toy's


@pytest.fixture
def make_search(toy: Callable[..., Any]) -> Callable[[], DOptimal]:
    def make() -> DOptimal:
        learner = learner_named("d-optimal")
        start = learner.start_actor(ActionMap(), AGENTS, 0)
        model: Any = learner.make_algorithm(SB3ConsoleVecEnv(toy(16, 8)), start, seed=0)
        assert isinstance(model, DOptimal)
        return model

    return make


def determinant(rows: np.ndarray, before: np.ndarray) -> float:
    return float(np.linalg.slogdet(before + rows.T @ rows)[1])


def test_a_design_is_the_best_of_all() -> None:
    """Of as few rows as can be tried one by one; and it completes what was tried before."""
    terms = np.random.default_rng(12).normal(size=(12, 3))  # greedily alone they would not be found
    before = PRIOR * np.eye(3)
    every = [list(rows) for rows in itertools.combinations_with_replacement(range(12), 4)]
    best = max(determinant(terms[rows], before) for rows in every)
    assert determinant(terms[d_optimal(terms, 4, before)], before) == pytest.approx(best)
    known = before + 100 * np.outer(terms[0], terms[0])
    assert 0 not in d_optimal(terms, 2, known)


def test_a_round_tells_more_than_random_weights(make_search: Callable[[], DOptimal]) -> None:
    search = make_search()

    def told(weights: np.ndarray) -> float:
        terms = np.column_stack([np.ones(len(weights)), log_terms(weights)])
        return determinant(terms, PRIOR * np.eye(terms.shape[1]))

    designed = search.to_try(16)
    assert designed.shape == (16, len(AGENTS) - 1)
    assert told(designed) > max(told(search.random_weights(16)) for _ in range(20)) + 1


def test_the_best_of_a_linear_return_is_found(make_search: Callable[[], DOptimal]) -> None:
    """A return of which the logarithms' optimum is known: each share as its coefficient."""
    search = make_search()
    share = np.array([0.24, 0.12, 0.02, 0.02])
    true = np.append(share, 1 - share.sum())
    rng = np.random.default_rng(0)
    for _ in range(8):
        search.tried.append(search.to_try(16))
        gain = log_terms(search.tried[-1]) @ true + rng.normal(0, 0.02, 16)
        gain = gain.reshape(-1, search.group_size)
        search.returns.append(((gain - gain.mean(1, keepdims=True)) / gain.std()).reshape(-1))
    best = search.best()
    assert search.explained > 0.9
    np.testing.assert_allclose(best, share, atol=0.06)


def test_the_same_seed_learns_the_same(make_search: Callable[[], DOptimal]) -> None:
    one, other = make_search(), make_search()
    learned = []
    for search in (one, other):
        search.learn(4 * 16 * 4)
        learned.append(torch.nn.utils.parameters_to_vector(learned_actor(search).parameters()))
    assert torch.isfinite(learned[0]).all()
    assert learned[0].equal(learned[1])
    assert [np.shape(tried) for tried in one.tried] == [(16, len(AGENTS) - 1)] * 4
