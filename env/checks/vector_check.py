"""Checking a vector environment against what ConsoleVectorEnv promises: the first fault is reported, with its cause."""

from collections.abc import Callable

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ...lm.io.errors import InputError
from .global_seeds import global_seeds
from .returns import same
from .vector_trial import VectorTrial


def check_vector_env(env: VectorEnv, max_steps: int = 100) -> None:
    """Run `env` three or four times from reset(seed=0) until every slot has ended, and check all that it returns.

    Args:
        env: a vector environment in any of Gymnasium's autoreset modes. It is left in the middle of an episode.
        max_steps: the number of steps within which every slot ends an episode.

    Raises:
        InputError: the first fault: wrong spaces or types, infos without masks, arrays that are used again, randomness
            that the seed does not determine, use of global generators, or a violation of its autoreset mode. Exceptions
            of the environment's own code pass through.
    """
    _check_declared(env)
    with global_seeds(1):
        trial = VectorTrial(env, max_steps)
    with global_seeds(2):
        again = VectorTrial(env, max_steps)
    if not same(trial.answers, again.answers):
        raise InputError(
            "the same seed and actions gave other returns: draw from a generator that reset(seed) seeds, and put all "
            "that steps change back at reset"
        )
    with global_seeds(1):
        if not same(VectorTrial(env, max_steps, scribble=True).answers, trial.answers):
            raise InputError(
                "writing into returned arrays, or into the actions after step, changed later returns: copy what goes "
                "out and what is kept of the actions"
            )
        if trial.mode is AutoresetMode.NEXT_STEP:
            other = VectorTrial(env, max_steps, other_actions=True)
            if not same(other.answers, trial.answers):
                raise InputError("the step that begins an episode used its action, expected it ignored (NEXT_STEP)")
        if trial.mode is AutoresetMode.DISABLED:
            _check_refusals(env, max_steps)


def _check_declared(env: VectorEnv) -> None:
    """InputError: the spaces or the metadata are wrong."""
    if not isinstance(env, VectorEnv):
        raise InputError(f"the environment is {type(env).__name__}, expected a gymnasium.vector.VectorEnv")
    for name in ("observation_space", "action_space"):
        single, batched = getattr(env, f"single_{name}", None), getattr(env, name, None)
        if single is None or batched is None:
            raise InputError(f"the environment lacks {name} or single_{name}")
        if batched != (expected := batch_space(single, env.num_envs)):
            raise InputError(f"{name} is {batched}, expected batch_space(single_{name}, num_envs), {expected}")
    mode = env.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise InputError(f"metadata['autoreset_mode'] is {mode!r}, expected a gymnasium.vector.AutoresetMode")


def _check_refusals(env: VectorEnv, max_steps: int) -> None:
    """InputError: in mode DISABLED it takes a bad mask, or a step of a slot that is done."""
    env.reset(seed=0)
    n = env.num_envs
    for bad, what in (
        (np.ones(n + 1, bool), "of another shape"),
        (np.ones(n, np.int64), "of integers"),
        (np.zeros(n, bool), "that names no slot"),
    ):
        if _takes(lambda bad=bad: env.reset(options={"reset_mask": bad})):  # type: ignore[misc]
            raise InputError(f"reset took a reset_mask {what}, expected an error")
    actions = env.action_space.sample()
    for _ in range(max_steps):
        _, _, terminated, truncated, _ = env.step(actions)
        if (terminated | truncated).any():
            break
    if _takes(lambda: env.step(actions)):
        raise InputError("step took an action of a slot that is done, expected an error until it is reset (DISABLED)")


def _takes(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:  # noqa: BLE001 - whichever the environment raises
        return False
    return True
