"""ConsoleEnv: one pretraining run as a plain gymnasium environment, the N = 1 view of the same core."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from ...lm.io.errors import InputError
from ..scenarios.distribution import AXES
from ..settings.setting import EpisodeSetting, Setting
from .paired_runs import ConsoleCore
from .reset_options import reset_core
from .state import Stateful
from .vector_env import as_batch, spaces, step_info


class ConsoleEnv(Stateful, gym.Env):
    """As `ConsoleVectorEnv`, for one run and without autoreset. Where an option of `reset` is by slot, give one."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        *,
        corpus: str | Path | None = None,
        setting: EpisodeSetting | None = None,
        reward: str = "paired",
        scenario_set: str = "train",
        axes: tuple[str, ...] = AXES,
        references: tuple[str, ...] = (),
        render_mode: str | None = None,
        records: str | Path | None = None,
    ) -> None:
        setting = setting or Setting()
        task = setting.open_task(corpus)
        file = None if records is None else Path(records)
        mode = AutoresetMode.DISABLED
        self.core = ConsoleCore(task, setting, 1, 1, reward, scenario_set, mode, file, axes, references)
        self.observation_space, self.action_space = spaces(self.core)
        self.agent_names, self.action_map = task.agent_names, self.core.action_map
        self.horizon = setting.episode.num_intervals
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        reset_core(self, self.core, seed, options)
        return self._observation(), {"run_seed": self.core.run_seed_N[0]}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        if np.shape(action) != self.action_space.shape:
            raise InputError(f"action has shape {np.shape(action)}, expected {self.action_space.shape}: one an agent")
        move = self.core.step(np.asarray(action)[None])
        info = {name: value[0] for name, value in step_info(self.core, move).items() if not name.startswith("_")}
        return self._observation(), float(move.reward_N[0]), bool(move.terminated_N[0]), False, info

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in as_batch(self.core.observation()).items()}
