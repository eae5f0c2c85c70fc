"""ConsoleVectorEnv: N pretraining runs as one gymnasium vector environment."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ...lm.io.errors import InputError
from ..observation.features import AGENT_FEATURES, TRAINING_FEATURES, bounds
from ..observation.observation import Batch
from ..scenarios.distribution import ScenarioDistribution
from ..settings.setting import EpisodeSetting, Setting
from .paired_runs import PairedRuns, Transition
from .reset_options import reset_core
from .state import Stateful


def spaces(runs: PairedRuns) -> tuple[gym.spaces.Dict, gym.spaces.Box]:
    """Observation and action space of one run."""
    shape = runs.observation_shapes
    low, high = bounds(AGENT_FEATURES)
    agents = gym.spaces.Box(np.tile(low, shape["agents"][0]), np.tile(high, shape["agents"][0]))
    training = gym.spaces.Box(*bounds(TRAINING_FEATURES))
    mask = gym.spaces.Box(0.0, 1.0, shape["mask"], np.float32)
    observation = gym.spaces.Dict({"agents": agents, "mask": mask, "training": training})
    return observation, gym.spaces.Box(-1.0, 1.0, shape["mask"], np.float32)


class ConsoleVectorEnv(Stateful, VectorEnv):
    """N runs.

    Observation: Dict `agents` (K * F,) row by row, `mask` (K,), `training` (S,): the tables in observation.py. Action:
    Box(-1, 1, (K,)), mapped to weights by `action_map`; 0 is three quarters natural. Reward, nats: the fall of the
    validation loss in the interval, minus the control's ("paired"); a run that diverges ends with -1. The episode
    terminates when the token budget is spent, after `horizon` steps.

    corpus: a built corpus' folder (default: the installed packages' text, built once); setting: model, recipe and
    clock; group_size: neighbours that share scenario and random numbers; distribution: what scenarios
    are drawn from, and which split of them (default: `ScenarioDistribution()`, the train split).
    autoreset_mode: SAME_STEP, NEXT_STEP or DISABLED, as Gymnasium means them; after SAME_STEP's last step `final_obs`
    has the end, and all other info is of the episode that the reward belongs to. records: a file that every finished
    episode is appended to, controls' too, as a line that `pretraingym replay` can run again (records.py).

    `reset(options=...)` takes `episode` (number to start at), `scenario` (one for all runs), `seeds` (N,) (integers,
    the run seeds of the episodes that begin; those after follow from the base seed) and, where autoreset is DISABLED,
    `reset_mask` (N,) (bool, alone: the slots that begin their next episode). A run that diverged repeats its episode.
    `get_state`, `set_state` and `fork` are exact; a fork records to the same file.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        corpus: str | Path | None = None,
        setting: EpisodeSetting | None = None,
        group_size: int = 1,
        reward: str = "paired",
        distribution: ScenarioDistribution | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        records: str | Path | None = None,
    ) -> None:
        mode = as_mode(autoreset_mode)
        setting, distribution = setting or Setting(), distribution or ScenarioDistribution()
        task = setting.open_task(corpus)
        file = None if records is None else Path(records)
        self.runs = PairedRuns(task, setting, num_envs, group_size, reward, distribution, mode, file)
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.num_envs, self.group_size, self.render_mode = num_envs, group_size, render_mode
        self.single_observation_space, self.single_action_space = spaces(self.runs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.agent_names, self.action_map = task.agent_names, self.runs.action_map
        self.horizon = setting.episode.num_intervals

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Batch, dict[str, Any]]:
        super().reset(seed=seed)
        begun = reset_core(self, self.runs, seed, options)
        return self.runs.observation().as_batch(), {"run_seed": self.runs.run_seed_N, "_run_seed": begun}

    def step(self, actions: np.ndarray) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        move = self.runs.step(actions)
        observation, info, done = self.runs.observation().as_batch(), step_info(self.runs, move), move.terminated_N
        if done.any() and self.runs.autoreset_mode == AutoresetMode.SAME_STEP:
            final = {key: done.copy() if key.startswith("_") else value.copy() for key, value in info.items()}
            ends = {"final_obs": observation, "final_info": final}
            info |= ends | {f"_{key}": done.copy() for key in ends}
            self.runs.next_episodes()
            observation = self.runs.observation().as_batch()
        return observation, move.reward_N.astype(np.float32), done.copy(), np.zeros(self.num_envs, bool), info


def as_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """InputError: none of Gymnasium's."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise InputError(
            f"autoreset_mode is {mode!r}, expected one of {', '.join(each.value for each in AutoresetMode)}"
        ) from None


def step_info(runs: PairedRuns, move: Transition) -> dict[str, Any]:
    """Validation and training loss (nats per token), tokens spent and the weights that were in force, by run, for those
    that made a step; and the seeds of all."""
    values = {
        "loss": move.interval.loss_N,
        "train_loss": move.interval.train_loss_N,
        "tokens": move.interval.tokens_N,
        "diverged": move.interval.diverged_N,
        "weights": runs.episode.weights_NK,
    }
    info: dict[str, Any] = {}
    for name, value in values.items():
        info |= {name: value[: runs.num_envs].copy(), f"_{name}": move.stepped_N.copy()}
    return info | {"run_seed": move.run_seed_N, "_run_seed": np.ones(runs.num_envs, bool)}
