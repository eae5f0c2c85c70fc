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
from .reset_options import reset_runs
from .state import Stateful


def spaces(runs: PairedRuns) -> tuple[gym.spaces.Dict, gym.spaces.Box]:
    """Observation and action space of one run."""
    shape = runs.observation_shapes
    low, high = bounds(AGENT_FEATURES)
    agents = gym.spaces.Box(np.tile(low, shape["agents"][0]), np.tile(high, shape["agents"][0]))
    statistics = gym.spaces.Box(*bounds(TRAINING_FEATURES))
    mask = gym.spaces.Box(0.0, 1.0, shape["mask"], np.float32)
    observation = gym.spaces.Dict({"agents": agents, "mask": mask, "statistics": statistics})
    return observation, gym.spaces.Box(-1.0, 1.0, shape["mask"], np.float32)


class ConsoleVectorEnv(Stateful, VectorEnv):
    """N pretraining runs side by side. Observation, action, reward and arguments are those of `ConsoleEnv`, whose
    docstring has the tables, with a leading axis N. More of them are explained here.

    group_size: that many neighbours form a seed group, which shares scenario, initial weights, random numbers and the
    control. autoreset_mode: SAME_STEP, NEXT_STEP or DISABLED, as Gymnasium means them. After a SAME_STEP's last step
    `final_obs` has the end, and all other info is of the episode that the reward belongs to.

    `reset(options=...)` also takes, where autoreset is DISABLED, `reset_mask` (N,) (bool, alone: the slots that begin
    their next episode). `seeds` (N,) are the run seeds of the episodes that begin; those after follow from the base
    seed. A run that diverged repeats its episode, by autoreset or `reset_mask`; the others of its group go on.
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
        self.runs = PairedRuns(
            task,
            setting,
            num_envs=num_envs,
            group_size=group_size,
            reward=reward,
            distribution=distribution,
            autoreset_mode=mode,
            records=None if records is None else Path(records),
        )
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.num_envs, self.group_size, self.render_mode = num_envs, group_size, render_mode
        self.single_observation_space, self.single_action_space = spaces(self.runs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.agent_names, self.action_map = task.agent_names, self.runs.action_map
        self.horizon = setting.episode.num_intervals

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Batch, dict[str, Any]]:
        super().reset(seed=seed)
        begun = reset_runs(self, self.runs, seed, options)
        return self.runs.observation().as_batch(), {"run_seed": self.runs.run_seed_N, "_run_seed": begun}

    def step(self, actions: np.ndarray) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        transition = self.runs.step(actions)
        observation, info, done = (
            self.runs.observation().as_batch(),
            step_info(self.runs, transition),
            transition.terminated_N,
        )
        if done.any() and self.runs.autoreset_mode == AutoresetMode.SAME_STEP:
            final = {key: done.copy() if key.startswith("_") else value.copy() for key, value in info.items()}
            ends = {"final_obs": observation, "final_info": final}
            info |= ends | {f"_{key}": done.copy() for key in ends}
            self.runs.begin_next(self.runs.done_N)
            observation = self.runs.observation().as_batch()
        return observation, transition.reward_N.astype(np.float32), done.copy(), np.zeros(self.num_envs, bool), info


def as_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The AutoresetMode of that value. InputError: Gymnasium has none."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise InputError(
            f"autoreset_mode is {mode!r}, expected one of {', '.join(each.value for each in AutoresetMode)}"
        ) from None


def step_info(runs: PairedRuns, transition: Transition) -> dict[str, Any]:
    """Validation and training loss (nats per token), tokens spent and the weights that were in force, by run, for those
    that made a step; and the seeds of all."""
    values = {
        "loss": transition.interval.loss_N,
        "train_loss": transition.interval.train_loss_N,
        "tokens": transition.interval.tokens_N,
        "diverged": transition.interval.diverged_N,
        "weights": runs.episode.weights_NK,
    }
    info: dict[str, Any] = {}
    for name, value in values.items():
        info |= {name: value[: runs.num_envs].copy(), f"_{name}": transition.stepped_N.copy()}
    return info | {"run_seed": transition.run_seed_N, "_run_seed": np.ones(runs.num_envs, bool)}
