"""The native vector environment as a Stable-Baselines3 VecEnv."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ...env.observation.observation import Batch
from ...lm.io.errors import InputError


class SB3ConsoleVecEnv(VecEnv):
    """Wraps a SAME_STEP environment whose episodes all last `horizon` steps, such as ConsoleVectorEnv.

    All slots end together, at the horizon: where a run ended early (it diverged), the episode that its slot began
    meanwhile is cut off with the others' (`TimeLimit.truncated`), and all begin the next one. `episode` is the number
    of the present one.

    A slot's info is its part of the environment's, and at an end `terminal_observation` and `TimeLimit.truncated`.

    The environment is one object: `get_attr` and `env_method` ask it once and repeat the answer for every index."""

    def __init__(self, env: VectorEnv) -> None:
        if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
            mode = env.metadata.get("autoreset_mode")
            raise InputError(
                f"the environment's autoreset_mode is {mode}, expected AutoresetMode.SAME_STEP: make it with "
                "autoreset_mode='SameStep'"
            )
        self.env = env
        self.episode, self._steps = -1, 0
        self._apart = False  # whether a slot has ended before the others
        self._actions: np.ndarray | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.horizon: int = self.get_attr("horizon")[0]

    def reset(self) -> Batch:
        options = dict(self._options[0])
        if any(other != options for other in self._options):
            raise InputError(
                "reset options differ between slots, expected the same for all: the environment is one object"
            )
        self.episode = options.setdefault("episode", 0 if self._seeds[0] is not None else self.episode + 1)
        self._steps, self._apart = 0, False
        observation, info = self.env.reset(seed=self._seeds[0], options=options)
        self.reset_infos = [_of_slot(info, slot) for slot in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        observation, rewards, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos = [_of_slot(info, slot) for slot in range(self.num_envs)]
        for slot in np.flatnonzero(done):
            begun = infos[slot]  # but for the two, the info is of the episode that has begun
            last, infos[slot], self.reset_infos[slot] = begun.pop("final_obs"), begun.pop("final_info"), begun
            infos[slot] |= _ending(last, bool(truncated[slot] and not terminated[slot]))
        self._steps += 1
        self._apart |= not done.all() if self._steps == self.horizon else bool(done.any())
        if self._steps == self.horizon:
            self.episode, self._steps = self.episode + 1, 0
            if self._apart:
                for slot in np.flatnonzero(~done):
                    infos[slot] |= _ending({key: value[slot].copy() for key, value in observation.items()}, True)
                done = np.ones(self.num_envs, bool)
                observation, info = self.env.reset(options={"episode": self.episode})
                self.reset_infos = [_of_slot(info, slot) for slot in range(self.num_envs)]
                self._apart = False
        return observation, rewards.astype(np.float32), done, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise InputError(
                f"cannot set '{attr_name}' for some slots: the environment is one object, leave out indices"
            )
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        answer = getattr(self.env, method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        env, wrapped = self.env, False
        while not wrapped and isinstance(env, gym.vector.VectorWrapper):
            wrapped, env = isinstance(env, wrapper_class), env.env
        return [wrapped for _ in self._get_indices(indices)]


def _ending(terminal_observation: Batch, truncated: bool) -> dict[str, Any]:
    return {"terminal_observation": terminal_observation, "TimeLimit.truncated": truncated}


def _of_slot(info: dict[str, Any], slot: int) -> dict[str, Any]:
    """One slot's part of a vector environment's info, whose `_key` marks the slots that have `key`; without that mark
    all have it. So also in dicts inside, where some of Gymnasium's wrappers leave the marks out."""
    return {
        key: _of_slot(value, slot) if isinstance(value, dict) else value[slot]
        for key, value in info.items()
        if not key.startswith("_") and (f"_{key}" not in info or info[f"_{key}"][slot])
    }
