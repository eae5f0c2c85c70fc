"""What `reset` was asked for: its seed and options, checked and handed to the runs."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..scenarios.scenario import Scenario
from .paired_runs import PairedRuns

OPTIONS = ("episode", "scenario", "seeds", "reset_mask")


def whole_number(seed: Any, expected: str = "") -> int | None:
    """What `reset` was given as a seed, which may be a number of numpy's. InputError: it is none."""
    if seed is None:
        return None
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed is {seed!r}, expected a whole number from 0 up{expected}")
    return int(seed)


def seed_or_list(seed: Any, num_envs: int) -> int | list[int | None] | None:
    """The same, or one for each of N slots, where None asks for one to be drawn."""
    if not isinstance(seed, list | tuple | np.ndarray):
        return whole_number(seed, f" or a list of {num_envs}")
    if np.shape(seed) != (num_envs,):
        raise InputError(f"seed has shape {np.shape(seed)}, expected a whole number or a list of {num_envs}")
    return [whole_number(each) for each in seed]


def reset_runs(
    env: gym.Env | gym.vector.VectorEnv,
    runs: PairedRuns,
    seed: int | list[int | None] | None,
    options: dict[str, Any] | None,
) -> NDArray[np.bool_]:
    """Begin what `options` say -> (N,) the slots that were begun. A seed starts the count of episodes at 0."""
    if not isinstance(options, dict | None):
        raise InputError(f"options are {described(options)}, expected a dict")
    options = options or {}
    if unknown := sorted(set(options) - set(OPTIONS)):
        raise InputError(f"reset has no option {', '.join(map(repr, unknown))}, expected {', '.join(OPTIONS)}")
    if "reset_mask" in options:
        mask = _mask(runs, seed, options)
        runs.begin_next(mask)
        return mask
    base_seed = runs.base_seed if seed is None else seed
    if isinstance(base_seed, list):
        by_group = _of_groups(runs, base_seed, "seed")
        base_seed = tuple(int(env.np_random.integers(2**31)) if each is None else each for each in by_group)
    run_seeds = _run_seeds(runs, options["seeds"]) if "seeds" in options else None
    if base_seed is None:
        base_seed = int(env.np_random.integers(2**31))
    number, scenario = options.get("episode", runs.next_number if seed is None else 0), options.get("scenario")
    if not isinstance(number, int | np.integer) or number < 0:
        raise InputError(f"episode is {number!r}, expected a whole number from 0 up")
    if not (scenario is None or isinstance(scenario, Scenario)):
        raise InputError(f"scenario is {described(scenario)}, expected a Scenario")
    runs.reset(base_seed, int(number), scenario, run_seeds)
    return np.ones(runs.num_envs, bool)


def _mask(runs: PairedRuns, seed: Any, options: dict[str, Any]) -> NDArray[np.bool_]:
    mask, shape = options["reset_mask"], (runs.num_envs,)
    if runs.autoreset_mode != AutoresetMode.DISABLED:
        mode = runs.autoreset_mode.value
        raise InputError(f"reset_mask was given and autoreset_mode is {mode}, expected {AutoresetMode.DISABLED.value}")
    if seed is not None or len(options) > 1:
        others = [*(["seed"] if seed is not None else []), *(set(options) - {"reset_mask"})]
        raise InputError(f"reset_mask was given with {', '.join(sorted(others))}: it begins the next episodes, alone")
    if runs.base_seed is None:
        raise InputError("reset_mask was given to the first reset, which begins all slots: leave it out")
    if not isinstance(mask, np.ndarray) or mask.shape != shape or mask.dtype != bool:
        raise InputError(f"reset_mask is {described(mask)}, expected a numpy array of bool {shape}")
    if not mask.any():
        raise InputError(f"reset_mask is False in all {runs.num_envs} slots, expected True in at least one")
    return mask.copy()


def _run_seeds(runs: PairedRuns, seeds: Any) -> NDArray[np.int64]:
    """The run seed of each group (G,) from that of each slot (N,)."""
    shape = (runs.num_envs,)
    if not isinstance(seeds, np.ndarray) or seeds.shape != shape or seeds.dtype.kind not in "iu":
        raise InputError(f"seeds are {described(seeds)}, expected a numpy array of integers {shape}: one a slot")
    if (seeds < 0).any() or (seeds > np.iinfo(np.int64).max).any():
        raise InputError(f"seeds are from {seeds.min()} to {seeds.max()}, expected 0 to 2**63 - 1")
    return np.array(_of_groups(runs, seeds.tolist(), "seeds"))


def _of_groups(runs: PairedRuns, by_slot: list[Any], name: str) -> list[Any]:
    """The value of each group, from that of each slot. InputError: they differ within a group."""
    groups = [by_slot[first : first + runs.group_size] for first in range(0, runs.num_envs, runs.group_size)]
    for group, values in enumerate(groups):
        if len(set(values)) > 1:
            raise InputError(f"{name} of group {group} are {values}, expected the same for all its slots")
    return [values[0] for values in groups]


def described(value: Any) -> str:
    """What was given in place of an array: its dtype and shape, or its type."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
