"""Checks of what `reset` and `step` of a vector environment return: types, shapes, and the masks of infos."""

from typing import Any

import gymnasium as gym
import numpy as np

from ...lm.io.errors import InputError
from ..gym_envs.reset_options import described


def check_observation(space: gym.Space, observation: Any, name: str) -> None:
    """InputError: it is not in the space, or its types are not the space's."""
    _check_types(space, observation, name)
    if not space.contains(observation):
        raise InputError(f"{name} is outside observation_space: look for NaN, and for values beyond the bounds")


def _check_types(space: gym.Space, value: Any, name: str) -> None:
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(value, dict) or value.keys() != space.keys():
            given = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
            raise InputError(f"{name} has {given}, expected a dict of {', '.join(space.keys())}")
        for key, part in space.items():
            _check_types(part, value[key], f"{name}['{key}']")
    elif space.shape is not None and space.dtype is not None:
        _check_array(value, space.shape, str(space.dtype), name)


def check_outcome(num_envs: int, reward: Any, terminated: Any, truncated: Any) -> None:
    """Check what one step returned. InputError: rewards are not finite floats, ends are not bools, or an episode is
    truncated."""
    kind = str(reward.dtype) if isinstance(reward, np.ndarray) and reward.dtype.kind == "f" else "float32"
    _check_array(reward, (num_envs,), kind, "reward")
    _check_array(terminated, (num_envs,), "bool", "terminated")
    _check_array(truncated, (num_envs,), "bool", "truncated")
    if not np.isfinite(reward).all():
        raise InputError(f"reward is {reward}, expected finite numbers: a run that diverges needs a penalty")
    if truncated.any():
        raise InputError(
            "truncated is True, expected terminated: the budget's end is part of the task, and nothing is left to "
            "bootstrap from"
        )


def check_info(num_envs: int, info: Any, name: str) -> None:
    """InputError: a `key` has not an entry for each of the N slots, or no mask `_key` of the slots with one, also in
    dicts."""
    if not isinstance(info, dict):
        raise InputError(f"{name} is {type(info).__name__}, expected a dict")
    for key, value in info.items():
        if key.startswith("_"):
            if key[1:] not in info:
                raise InputError(f"{name} has the mask '{key}', but no '{key[1:]}'")
            _check_array(value, (num_envs,), "bool", f"{name}['{key}']")
        elif f"_{key}" not in info:
            raise InputError(f"{name} has '{key}' without '_{key}', the mask (N,) of the slots that have it")
        elif key == "final_obs" and not (isinstance(value, np.ndarray) and value.dtype == object):
            raise InputError(
                f"{name}['{key}'] is {described(value)}, expected an array of objects: observations or None"
            )
        elif isinstance(value, dict):
            check_info(num_envs, value, f"{name}['{key}']")
        elif not isinstance(value, np.ndarray) or value.shape[:1] != (num_envs,):
            raise InputError(
                f"{name}['{key}'] is {described(value)}, expected an array of {num_envs}: one entry a slot"
            )


def nested_arrays(value: Any) -> list[Any]:
    """The arrays and numbers that are nested in dicts, tuples, lists and arrays of objects, in order."""
    if isinstance(value, dict):
        return [array for key in value for array in nested_arrays(value[key])]
    if isinstance(value, tuple | list) or (isinstance(value, np.ndarray) and value.dtype == object):
        return [array for each in value for array in nested_arrays(each)]
    return [value]


def same(one: Any, other: Any) -> bool:
    """Whether both have the same keys and are equal bit for bit, NaN being equal to NaN."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype == other.dtype == object and one.ndim:
        return same(list(one), list(other))
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _check_array(value: Any, shape: tuple[int, ...], dtype: str, name: str) -> None:
    if not isinstance(value, np.ndarray) or value.shape != shape or str(value.dtype) != dtype:
        raise InputError(f"{name} is {described(value)}, expected a numpy array of {dtype} {shape}")
