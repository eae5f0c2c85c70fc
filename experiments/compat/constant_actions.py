"""What the table sets the libraries beside: action 0 and the best constant action that a search finds."""

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from ...env.console.action_map import ActionMap
from ...env.gym_envs.vector_env import ConsoleVectorEnv
from ...env.settings.toy_setting import ToySetting
from ..analysis.statistics import mean_and_error
from ..benchmarks.surrogate_toy import best_constant
from .runner import Outcome
from .scoring import ENV, constant, returns

SEARCH_EPISODES = 48


def constant_outcomes() -> list[Outcome]:
    """The outcomes of action 0 and of the best constant action, over the episodes that the libraries are scored on."""
    env = gym.make_vec(ENV, num_envs=1).unwrapped
    assert isinstance(env, ConsoleVectorEnv)
    weights_NK = best_constant(env.runs.task, ToySetting(), SEARCH_EPISODES)[None]
    actions = {
        "action 0": np.zeros(weights_NK.shape[1]),
        "best constant action": action_of(env.action_map, weights_NK)[0],
    }
    scores = {name: mean_and_error(returns(constant(action))) for name, action in actions.items()}
    return [Outcome(name, return_nats=mean, error_nats=error) for name, (mean, error) in scores.items()]


def action_of(action_map: ActionMap, weights_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """The actions (N, K) in [-1, 1] whose weights are nearest to these, where all agents are present."""
    base_NK = action_map.base(np.ones(weights_NK.shape, bool))
    share_NK = (weights_NK - action_map.floor / weights_NK.shape[1]) / (1 - action_map.floor)
    log_NK = np.log(np.maximum(share_NK, 1e-9) / base_NK) / action_map.scale
    return np.clip(log_NK - log_NK.max(1, keepdims=True) + 1, -1, 1)
