"""The native vector environment as a Stable-Baselines3 VecEnv."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ...env.observation.observation import Batch
from ...lm.io.errors import InputError


class SB3ConsoleVecEnv(VecEnv):
    """Wraps an environment whose episodes all last `horizon` steps, such as ConsoleVectorEnv. Its autoreset_mode is
    SAME_STEP, or DISABLED, which Gymnasium's observation wrappers need between the two: then the adapter resets slots.

    All slots end together, at the horizon: where a run ended early (it diverged), the episode that its slot began
    meanwhile is cut off with the others' (`TimeLimit.truncated`), and all begin the next one. `episode` is the number
    of the present one.

    A slot's info is its part of the environment's, and at an end `terminal_observation` and `TimeLimit.truncated`.

    The environment is one object: `get_attr` and `env_method` ask it once and repeat the answer for every index."""

    def __init__(self, env: VectorEnv) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
            raise InputError(
                f"the environment's autoreset_mode is {mode}, expected SAME_STEP or DISABLED: make it with "
                "autoreset_mode='SameStep', or 'Disabled' if observation wrappers stand between"
            )
        self.env, self.autoreset_mode = env, mode
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
        if done.any():
            observation, ends = self._begin_next(observation, done, infos)
            for slot, last in ends.items():
                infos[slot] |= _ending(last, bool(truncated[slot] and not terminated[slot]))
        self._steps += 1
        self._apart |= not done.all() if self._steps == self.horizon else bool(done.any())
        if self._steps == self.horizon:
            self.episode, self._steps = self.episode + 1, 0
            if self._apart:
                for going in np.flatnonzero(~done):
                    infos[going] |= _ending(_slot_of(observation, going), True)
                done = np.ones(self.num_envs, bool)
                observation, info = self.env.reset(options={"episode": self.episode})
                self.reset_infos = [_of_slot(info, slot) for slot in range(self.num_envs)]
                self._apart = False
        return observation, rewards.astype(np.float32), done, infos

    def _begin_next(
        self, observation: Any, done: np.ndarray, infos: list[dict[str, Any]]
    ) -> tuple[Any, dict[int, Any]]:
        """Begin the next episode of the slots that are done, if the environment has not -> the observation then, and
        by slot the last of the episode that ended. In `infos` and `reset_infos` each episode gets its own."""
        ended = [int(slot) for slot in np.flatnonzero(done)]
        if self.autoreset_mode is AutoresetMode.DISABLED:
            last = {slot: _slot_of(observation, slot) for slot in ended}
            observation, begun = self.env.reset(options={"reset_mask": done.copy()})
            for slot in ended:
                self.reset_infos[slot] = _of_slot(begun, slot)
            return observation, last
        last = {slot: infos[slot].pop("final_obs") for slot in ended}
        for slot in ended:  # what is left is of the episode that has begun
            of_end = infos[slot].pop("final_info")
            self.reset_infos[slot], infos[slot] = infos[slot], of_end
        return observation, last

    def close(self) -> None:
        self.env.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Pictures of all runs, where the render mode is rgb_array."""
        return self.env.render()  # type: ignore[return-value]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        value = getattr(self._owner(attr_name), attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        if set(self._get_indices(indices)) != set(range(self.num_envs)):
            raise InputError(
                f"cannot set '{attr_name}' for some slots: the environment is one object, leave out indices"
            )
        setattr(self._owner(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        answer = getattr(self._owner(method_name), method_name)(*method_args, **method_kwargs)
        return [answer for _ in self._get_indices(indices)]

    def _owner(self, name: str) -> Any:
        """What has that attribute: Gymnasium's vector wrappers do not pass on what is not theirs."""
        return self.env if hasattr(self.env, name) else self.env.unwrapped

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None) -> list[bool]:
        env, wrapped = self.env, False
        while not wrapped and isinstance(env, gym.vector.VectorWrapper):
            wrapped, env = isinstance(env, wrapper_class), env.env
        return [wrapped for _ in self._get_indices(indices)]


def _slot_of(observation: Any, slot: int | np.integer) -> Any:
    """One slot's part of a batch of observations, copied."""
    if isinstance(observation, dict):
        return {key: value[slot].copy() for key, value in observation.items()}
    return observation[slot].copy()


def _ending(terminal_observation: Any, truncated: bool) -> dict[str, Any]:
    return {"terminal_observation": terminal_observation, "TimeLimit.truncated": truncated}


def _of_slot(info: dict[str, Any], slot: int) -> dict[str, Any]:
    """One slot's part of a vector environment's info, whose `_key` marks the slots that have `key`; without that mark
    all have it. So also in dicts inside, where some of Gymnasium's wrappers leave the marks out."""
    return {
        key: _of_slot(value, slot) if isinstance(value, dict) else value[slot]
        for key, value in info.items()
        if not key.startswith("_") and (f"_{key}" not in info or info[f"_{key}"][slot])
    }
