"""RegMix learns the numbers that it did before what it shares with `fit` was made one function."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pretraingym.env.console.action_map import ActionMap
from pretraingym.policies.learners.boosted_trees import TOP, mean_of_best
from pretraingym.policies.learners.learning import learned_actor
from pretraingym.policies.learners.table import learner_named
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

AGENTS = ("null", "a", "b", "c", "d")  # the toy's
GOLDEN = [-3.2169271, -1.2337337, -0.9873651, -1.4293934, -2.3352580]  # strength in log-odds, log-shares of a to d


def test_the_numbers_that_it_learns(toy: Callable[..., Any]) -> None:
    learner = learner_named("regmix")
    start = learner.start_actor(ActionMap(), AGENTS, 0)
    model: Any = learner.make_algorithm(SB3ConsoleVecEnv(toy(16, 8)), start, seed=0)
    model.learn(4 * 16 * 4)
    learned = torch.nn.utils.parameters_to_vector(learned_actor(model).parameters())
    assert learned.tolist() == pytest.approx(GOLDEN, abs=1e-5)


def test_the_best_are_averaged() -> None:
    simulated = np.random.default_rng(0).random((1000, 3))
    best = mean_of_best(simulated, simulated[:, 0])
    assert best == pytest.approx(simulated[np.argsort(simulated[:, 0])[-TOP:]].mean(0))
    assert mean_of_best(simulated, np.zeros(1000)) == pytest.approx(simulated[:TOP].mean(0))
