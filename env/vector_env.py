"""ConsoleVectorEnv: N pretraining runs as one gymnasium vector environment."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .core import ConsoleCore, Transition
from .observation import AGENT_FEATURES, TRAINING_FEATURES, Observation, bounds
from .scenario import Scenario
from .setting import Setting

Batch = dict[str, np.ndarray]


def spaces(core: ConsoleCore) -> tuple[gym.spaces.Dict, gym.spaces.Box]:
    """Observation and action space of one run."""
    shape = core.observation_shapes
    low, high = bounds(AGENT_FEATURES)
    agents = gym.spaces.Box(np.tile(low, shape["agents"][0]), np.tile(high, shape["agents"][0]))
    training = gym.spaces.Box(*bounds(TRAINING_FEATURES))
    mask = gym.spaces.Box(0.0, 1.0, shape["mask"], np.float32)
    observation = gym.spaces.Dict({"agents": agents, "mask": mask, "training": training})
    return observation, gym.spaces.Box(-1.0, 1.0, shape["mask"], np.float32)


def as_batch(observation: Observation) -> Batch:
    """The observation as fresh float32 arrays under the names of the space; rows of agents flattened, because
    Stable-Baselines3 takes a matrix for a broken image."""
    agents, mask = observation.agents, observation.mask
    return {
        "agents": agents.reshape(len(agents), -1).copy(),
        "mask": mask.astype(np.float32),
        "training": observation.training.copy(),
    }


class ConsoleVectorEnv(VectorEnv):
    """N runs, autoreset SAME_STEP.

    Observation: Dict `agents` (K * F,) row by row, `mask` (K,), `training` (S,): the tables in observation.py. Action:
    Box(-1, 1, (K,)), mapped to weights by `action_map`; 0 is three quarters natural. Reward, nats: the fall of the
    validation loss in the interval, minus the control's ("paired"); a run that diverges ends with -1. The episode
    terminates when the token budget is spent, after `horizon` steps.

    corpus: a built corpus' folder (default: the installed packages' text, built once); setting: model, recipe and
    clock; group_size: neighbours that share scenario and random numbers; scenario_set: train, development or sealed.
    `reset(options=...)` takes `episode` (number to start at) and `scenario` (one for all runs).
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        corpus: str | Path | None = None,
        setting: Setting | None = None,
        group_size: int = 1,
        reward: str = "paired",
        scenario_set: str = "train",
        render_mode: str | None = None,
    ) -> None:
        setting = setting or Setting()
        task = setting.open_task(corpus)
        self.core = ConsoleCore(task, setting, num_envs, group_size, reward, scenario_set)
        self.num_envs, self.group_size, self.render_mode = num_envs, group_size, render_mode
        self.single_observation_space, self.single_action_space = spaces(self.core)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.agent_names, self.action_map = task.agent_names, self.core.action_map
        self.horizon = setting.episode.num_intervals
        self._next_episode = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Batch, dict[str, Any]]:
        super().reset(seed=seed)
        first, base_seed, scenario = next_reset(self, seed, options, self._next_episode)
        self.core.reset(base_seed, first, scenario)
        self._next_episode = first + 1
        return as_batch(self.core.observation()), {}

    def step(self, actions: np.ndarray) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        move = self.core.step(actions)
        observation = as_batch(self.core.observation())
        info = step_info(self.core, move, self.num_envs)
        done = move.terminated_N
        if done.any():
            final = {**info, "_loss": done.copy()}
            info |= {
                "final_obs": observation,
                "_final_obs": done.copy(),
                "final_info": final,
                "_final_info": done.copy(),
            }
        self.core.next_episodes(move.outcome)
        if done.any():
            observation = as_batch(self.core.observation())
            self._next_episode = int(self.core.number_of.max()) + 1
        truncated = np.zeros(self.num_envs, bool)
        return observation, move.reward_N.astype(np.float32), done.copy(), truncated, info


def next_reset(
    env: Any, seed: int | None, options: dict[str, Any] | None, next_episode: int
) -> tuple[int, int, Scenario | None]:
    """(episode number, base seed, scenario) of a reset: a seed starts the count of episodes at 0."""
    options = options or {}
    base_seed = env.core.base_seed if seed is None else seed
    if base_seed is None:
        base_seed = int(env.np_random.integers(2**31))
    if seed is not None:
        next_episode = 0
    return int(options.get("episode", next_episode)), base_seed, options.get("scenario")


def step_info(core: ConsoleCore, move: Transition, num_envs: int) -> dict[str, Any]:
    """Validation and training loss (nats per token), tokens spent and the weights that were in force, by run."""
    every = np.ones(num_envs, bool)
    values = {
        "loss": move.outcome.loss_N,
        "train_loss": move.outcome.train_loss_N,
        "tokens": move.outcome.tokens_N,
        "diverged": move.outcome.diverged_N,
        "weights": core.episode.weights_NK,
    }
    info: dict[str, Any] = {}
    for name, value in values.items():
        info |= {name: value[:num_envs].copy(), f"_{name}": every.copy()}
    return info
