"""The surrogate's environments, of one run and of many, and actions for them."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import pretraingym.env  # noqa: F401 (registers the environments)
from pretraingym.lm.corpus.corpus import Corpus

ID = "PretrainGym/Surrogate-v2"


@pytest.fixture
def single(tiny_corpus: Corpus) -> Callable[..., Any]:
    """Makes environments of one run."""
    return lambda **given: gym.make(ID, corpus=str(tiny_corpus.path), **given)


@pytest.fixture
def native(tiny_corpus: Corpus) -> Callable[..., Any]:
    """Makes environments of so many runs."""
    return lambda num_envs=2, **given: gym.make_vec(ID, num_envs=num_envs, corpus=str(tiny_corpus.path), **given)


@pytest.fixture
def actions_of() -> Callable[..., Iterator[np.ndarray]]:
    """Gives seeded actions for so many steps of an environment."""

    def actions_of(env: Any, steps: int) -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        for _ in range(steps):
            yield rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)

    return actions_of
