"""Several vector environments as one: each round of episodes is played by the next of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from ...env.observation.observation import Batch
from ...lm.io.errors import InputError

SHARED = ("agent_names", "action_map", "horizon", "group_size", "num_envs")  # what a learner reads of an environment


class EnvsInTurn(VectorEnv):
    """Round r, one episode of every slot, is played by environment r % len(envs), as its episode number r. So a policy
    is learned on several corpora, by a learner that sees one environment.

    The environments' autoreset_mode is DISABLED, and so is this one's: a `reset` with a mask of all slots, at the
    horizon, begins the next round. InputError: another mode, or environments that differ in agents, action map, horizon
    or slots."""

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}
    agent_names: tuple[str, ...]
    horizon: int
    group_size: int

    def __init__(self, envs: Sequence[VectorEnv]) -> None:
        self.envs, first = tuple(envs), envs[0]
        for place, env in enumerate(envs, 1):
            if (mode := env.metadata.get("autoreset_mode")) != AutoresetMode.DISABLED:
                raise InputError(f"environment {place} has autoreset_mode {mode}, expected DISABLED")
            for name in SHARED:
                if (given := getattr(env, name)) != (expected := getattr(first, name)):
                    raise InputError(
                        f"{name} of environment {place} is {_shown(given)}, expected {_shown(expected)}, as the "
                        "first one's: environments that take turns must look alike to the learner"
                    )
        for name in SHARED:
            setattr(self, name, getattr(first, name))
        self.single_observation_space = first.single_observation_space
        self.single_action_space = first.single_action_space
        self.observation_space, self.action_space = first.observation_space, first.action_space
        self._seed: int | None = None
        self._round, self._steps = -1, 0  # none has begun

    @property
    def present(self) -> VectorEnv:
        """The environment of the present round."""
        return self.envs[self._round % len(self.envs)]

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Batch, dict[str, Any]]:
        options = dict(options or {})
        if "reset_mask" in options:
            if self._steps < self.horizon or not np.all(options["reset_mask"]):  # some ended early, in their own round
                return self.present.reset(options=options)
            del options["reset_mask"]
            options["episode"] = self._round + 1
        assert not isinstance(seed, list), "a list of seeds has no next round"
        self._seed = self._seed if seed is None else seed
        self._round = options.setdefault("episode", 0 if seed is not None else self._round + 1)
        self._steps = 0
        return self.present.reset(seed=self._seed, options=options)

    def step(self, actions: np.ndarray) -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._steps += 1
        return self.present.step(actions)

    def close_extras(self, **kwargs: Any) -> None:
        for env in self.envs:
            env.close()


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)
