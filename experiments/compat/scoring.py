"""What a learned policy gains, measured for every library in the same way: over the same episodes, which none saw."""

import json
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers.vector import FlattenObservation
from numpy.typing import NDArray

import pretraingym.env  # noqa: F401 (registers the environments)

from ..analysis.statistics import mean_and_error

ENV = "PretrainGym/Surrogate-v2"
EPISODES = 256
SEED = 2**20  # of the scored episodes; the clients learn from smaller seeds
Act = Callable[[Any], Any]


def returns(act: Act, flat: bool = True) -> NDArray[np.float64]:
    """The return of each scored episode in nats over natural, (EPISODES,). act: from a batch of observations, which
    are flat arrays (EPISODES, features) or else dicts of arrays, to actions (EPISODES, agents)."""
    env = gym.make_vec(ENV, num_envs=EPISODES, autoreset_mode=gym.vector.AutoresetMode.NEXT_STEP)
    env = FlattenObservation(env) if flat else env
    observation, _ = env.reset(seed=SEED)
    total, done = np.zeros(EPISODES), np.zeros(EPISODES, bool)
    while not done.all():
        observation, reward, terminated, truncated, _ = env.step(np.asarray(act(observation), np.float32))
        total += np.where(done, 0.0, reward)
        done |= terminated | truncated
    return total


def constant(action: Any) -> Act:
    """The policy that always takes this action (agents,)."""
    return lambda observation: np.tile(np.asarray(action, np.float32), (EPISODES, 1))


def report(distribution: str, act: Act, flat: bool = True) -> None:
    """Print, as one line of JSON, what the policy that was learned with an installed distribution gains."""
    mean, error = mean_and_error(returns(act, flat))
    print(json.dumps({"version": version(distribution), "return_nats": mean, "error_nats": error}))
