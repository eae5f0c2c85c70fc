"""A trial of a vector environment: it is reset and stepped with seeded actions, and every return is checked."""

import copy
import random
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from ...lm.io.errors import InputError
from .returns import check_info, check_observation, check_outcome, nested_arrays, same

Bools = np.ndarray


class VectorTrial:
    """One run of `env` from reset(seed=0) until every slot has ended, and two steps more. answers: copies of all that
    it returned. scribble: overwrite all arrays that went in and came out once they are copied; other_actions: give
    slots whose action must be ignored (NEXT_STEP) another one."""

    def __init__(self, env: VectorEnv, max_steps: int, scribble: bool = False, other_actions: bool = False) -> None:
        self.env, self.mode, self.scribble = env, env.metadata["autoreset_mode"], scribble
        self.answers: list[Any] = []
        self._given: list[Any] = []  # what it returned, not copied
        self.observation = self.reset(seed=0)
        done, ended = np.zeros((2, env.num_envs), bool)
        rng, extra = np.random.default_rng(0), 2
        for step in range(max_steps):
            actions = self._actions(rng)
            if other_actions:
                actions[done] = self._actions(np.random.default_rng(step + 1))[done]
            done = self.step(actions, done)
            ended |= done
            if self.mode is AutoresetMode.DISABLED:
                self._reset_one_by_one(done if step else np.arange(env.num_envs) == 0)
            extra -= int(ended.all())
            if extra < 0:
                break
        if not ended.all():
            raise InputError(
                f"slots {np.flatnonzero(~ended).tolist()} never terminated in {max_steps} steps: give a larger "
                "max_steps, or end the episode when its budget is spent"
            )
        if not scribble and not same(self._given, self.answers):
            raise InputError("an array that was returned changed in a later call: return fresh arrays each time")

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset, and check what is returned -> the observation."""
        observation, info = self._call("reset", lambda: self.env.reset(seed=seed, options=options), 2)
        check_observation(self.env.observation_space, observation, "the observation of reset")
        check_info(self.env.num_envs, info, "the info of reset")
        return self._keep((observation, info))[0]

    def step(self, actions: np.ndarray, was_done: Bools) -> Bools:
        """Step, and check what is returned -> which slots ended."""
        kept = actions.copy()
        answer = self._call("step", lambda: self.env.step(actions), 5)
        observation, reward, terminated, truncated, info = answer
        check_observation(self.env.observation_space, observation, "the observation of step")
        check_outcome(self.env.num_envs, reward, terminated, truncated)
        check_info(self.env.num_envs, info, "the info of step")
        if not np.array_equal(actions, kept):
            raise InputError("step changed the actions that it was given: work on a copy")
        if self.mode is AutoresetMode.SAME_STEP:
            self._check_ends(observation, terminated, info)
        elif self.mode is AutoresetMode.NEXT_STEP and (reward[was_done].any() or terminated[was_done].any()):
            raise InputError("the step after an end gave a reward or an end, expected 0 and False: it begins anew")
        if self.scribble:
            actions[...] = 0.5
        self.observation, _, done, _, _ = self._keep(answer)
        return done

    def _actions(self, rng: np.random.Generator) -> np.ndarray:
        space = copy.deepcopy(self.env.action_space)
        space.seed(int(rng.integers(2**31)))
        return space.sample()

    def _check_ends(self, observation: Any, done: Bools, info: dict[str, Any]) -> None:
        """Check what SAME_STEP returns of the slots that ended."""
        for key in ("final_obs", "final_info"):
            marked = info.get(f"_{key}", np.zeros_like(done))
            if not np.array_equal(marked, done):
                raise InputError(f"info['_{key}'] is {marked}, expected the slots that ended in this step, {done}")
        if not done.any():
            return
        for slot in np.flatnonzero(done):
            last = info["final_obs"][slot]
            check_observation(self.env.single_observation_space, last, f"info['final_obs'][{slot}]")
            if same([array[slot] for array in nested_arrays(observation)], nested_arrays(last)):
                raise InputError(
                    f"slot {slot} ended, and its observation is final_obs, expected the first of its next episode "
                    "(autoreset_mode SAME_STEP)"
                )

    def _reset_one_by_one(self, slots: Bools) -> None:
        """Reset each of `slots` by a mask of its own, which must leave the others' observations as they are."""
        for slot in np.flatnonzero(slots):
            before, mask = self.observation, np.arange(self.env.num_envs) == slot
            self.observation = self.reset(options={"reset_mask": mask})
            for old, new in zip(nested_arrays(before), nested_arrays(self.observation), strict=True):
                if not np.array_equal(old[~mask], new[~mask]):
                    raise InputError(f"reset_mask names slot {slot}, and the observation of others changed")
            if same(*([array[slot] for array in nested_arrays(each)] for each in (before, self.observation))):
                raise InputError(f"reset_mask names slot {slot}, and its observation is still that of the end")

    def _call(self, name: str, call: Any, parts: int) -> Any:
        """What `call` returns, a tuple of `parts`. It must leave the global generators alone."""
        before = _global_states()
        answer = call()
        for library, old, new in zip(("random", "numpy.random", "torch"), before, _global_states(), strict=True):
            if not same(old, new):
                raise InputError(f"{name} changed the global generator of {library}: draw from one of your own")
        if not isinstance(answer, tuple) or len(answer) != parts:
            raise InputError(f"{name} returned {type(answer).__name__}, expected a tuple of {parts}")
        return answer

    def _keep(self, answer: Any) -> Any:
        """A copy of what was returned, which is kept."""
        self._given.append(answer)
        self.answers.append(copy.deepcopy(answer))
        for array in nested_arrays(answer) if self.scribble else ():
            if isinstance(array, np.ndarray) and array.flags.writeable:
                array[...] = np.ones((), array.dtype)
        return self.answers[-1]


def _global_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state(), torch.get_rng_state().numpy().copy()  # noqa: NPY002 - this very one
