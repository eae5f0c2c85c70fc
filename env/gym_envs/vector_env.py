"""ConsoleVectorEnv: N pretraining runs as one gymnasium vector environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..observation.features import AGENT_FEATURES, TRAINING_FEATURES, bounds
from ..observation.observation import Batch
from ..scenarios.distribution import ScenarioDistribution
from ..settings.setting import EpisodeSetting
from .paired_runs import PairedRuns
from .rendering import METADATA, Frame, frames
from .reset_options import reset_runs, seed_or_list
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
    control. autoreset_mode: NEXT_STEP, SAME_STEP or DISABLED, as Gymnasium means them; observations, infos, `final_obs`
    and `final_info` are in the form that SyncVectorEnv gives. max_episode_steps: Gymnasium fills it in from a spec; it
    must not be below the horizon, since episodes are not truncated.

    `reset(seed=[...])`, a list of N, begins in each slot what a single environment would begin under that seed. Under
    one seed s slot i runs series i of s, which is not what a single environment has under s + i: so slots of different
    seeds never run the same.

    `reset(options=...)` also takes, where autoreset is DISABLED, `reset_mask` (N,) (bool, alone: the slots that begin
    their next episode). `seeds` (N,) are the run seeds of the episodes that begin; those after follow from the base
    seed. A run that diverged repeats its episode, by autoreset or `reset_mask`; the others of its group go on.
    """

    metadata: dict[str, Any] = {**METADATA, "autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        corpus: str | Path | None = None,
        setting: EpisodeSetting | Mapping[str, Any] | None = None,
        group_size: int = 1,
        reward: str = "paired",
        distribution: ScenarioDistribution | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        records: str | Path | None = None,
    ) -> None:
        mode = as_mode(autoreset_mode)
        self.set_up(
            corpus,
            setting,
            distribution,
            render_mode,
            records,
            num_envs=num_envs,
            group_size=group_size,
            reward=reward,
            autoreset_mode=mode,
        )
        self.num_envs, self.group_size, self.autoreset_mode = self.runs.num_envs, self.runs.group_size, mode
        self.single_observation_space, self.single_action_space = spaces(self.runs)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        if max_episode_steps is not None and max_episode_steps < self.horizon:
            raise InputError(
                f"max_episode_steps is {max_episode_steps}, expected at least {self.horizon}: for shorter episodes "
                "give a setting whose clock has fewer intervals"
            )

    @property
    def autoreset_mode(self) -> AutoresetMode:
        """When the next episode begins; `metadata` has it too, where Gymnasium's wrappers look."""
        return self.runs.autoreset_mode

    @autoreset_mode.setter
    def autoreset_mode(self, mode: AutoresetMode | str) -> None:
        self.runs.autoreset_mode = as_mode(mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.runs.autoreset_mode}

    @property
    def arguments(self) -> dict[str, Any]:
        of_many = {"num_envs": self.num_envs, "group_size": self.group_size, "autoreset_mode": self.autoreset_mode}
        return super().arguments | of_many

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Batch, dict[str, Any]]:
        self.require_open()
        seed = seed_or_list(seed, self.num_envs)
        super().reset(seed=None if isinstance(seed, list) else seed)
        begun = reset_runs(self, self.runs, seed, options)
        return self.runs.observation().as_batch(), info_of(self.runs, begun)

    def step(self, actions: np.ndarray) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self.require_open()
        transition = self.runs.step(actions)
        done, ends = transition.terminated_N, {}
        if done.any() and self.autoreset_mode == AutoresetMode.SAME_STEP:
            last = self.runs.observation().as_batch()
            final_obs = np.full(self.num_envs, None, dtype=object)
            for slot in np.flatnonzero(done):
                final_obs[slot] = {key: value[slot].copy() for key, value in last.items()}
            ends = {"final_obs": final_obs, "final_info": info_of(self.runs, done)}
            ends |= {f"_{key}": done.copy() for key in ends}
            self.runs.begin_next(done)
        info = info_of(self.runs, np.ones(self.num_envs, bool)) | ends
        rewards, truncated = transition.reward_N.astype(np.float32), np.zeros(self.num_envs, bool)
        return self.runs.observation().as_batch(), rewards, done.copy(), truncated, info

    def render(self) -> tuple[Frame, ...]:  # type: ignore[override]
        self.require_open()
        return frames(self.runs, self.render_mode)


def as_mode(mode: AutoresetMode | str) -> AutoresetMode:
    """The AutoresetMode of that value. InputError: Gymnasium has none."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise InputError(
            f"autoreset_mode is {mode!r}, expected one of {', '.join(each.value for each in AutoresetMode)}"
        ) from None


def info_of(runs: PairedRuns, slots_N: NDArray[np.bool_]) -> dict[str, Any]:
    """How the runs in those slots stand, and masks, as Gymnasium has them: validation and training loss (nats per
    token), tokens spent, whether it diverged, the weights in force and the run's seed; 0 in other slots."""
    values = {
        "loss": runs.episode.loss_N,
        "train_loss": runs.episode.train_loss_N,
        "tokens": runs.episode.tokens_N,
        "diverged": runs.diverged,
        "weights": runs.episode.weights_NK,
        "run_seed": runs.run_seed_N,
    }
    info: dict[str, Any] = {}
    for name, value in values.items():
        info[name] = np.zeros_like(value[: runs.num_envs])
        info[name][slots_N] = value[: runs.num_envs][slots_N]
        info[f"_{name}"] = slots_N.copy()
    return info
