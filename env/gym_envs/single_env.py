"""ConsoleEnv: one pretraining run as a plain gymnasium environment, the N = 1 view of the same runs."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from ...lm.io.errors import InputError
from ..scenarios.distribution import ScenarioDistribution
from ..settings.setting import EpisodeSetting, Setting
from .paired_runs import PairedRuns
from .reset_options import reset_core
from .state import Stateful
from .vector_env import spaces, step_info


class ConsoleEnv(Stateful, gym.Env):
    """As `ConsoleVectorEnv`, for one run and without autoreset. Where an option of `reset` is by slot, give one."""

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        *,
        corpus: str | Path | None = None,
        setting: EpisodeSetting | None = None,
        reward: str = "paired",
        distribution: ScenarioDistribution | None = None,
        render_mode: str | None = None,
        records: str | Path | None = None,
    ) -> None:
        setting, distribution = setting or Setting(), distribution or ScenarioDistribution()
        task = setting.open_task(corpus)
        file = None if records is None else Path(records)
        mode = AutoresetMode.DISABLED
        self.runs = PairedRuns(task, setting, 1, 1, reward, distribution, mode, file)
        self.observation_space, self.action_space = spaces(self.runs)
        self.agent_names, self.action_map = task.agent_names, self.runs.action_map
        self.horizon = setting.episode.num_intervals
        self.render_mode = render_mode

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        reset_core(self, self.runs, seed, options)
        return self._observation(), {"run_seed": self.runs.run_seed_N[0]}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        if np.shape(action) != self.action_space.shape:
            raise InputError(f"action has shape {np.shape(action)}, expected {self.action_space.shape}: one an agent")
        move = self.runs.step(np.asarray(action)[None])
        info = {name: value[0] for name, value in step_info(self.runs, move).items() if not name.startswith("_")}
        return self._observation(), float(move.reward_N[0]), bool(move.terminated_N[0]), False, info

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in self.runs.observation().as_batch().items()}
