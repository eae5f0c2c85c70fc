"""check_vector_env passes ConsoleVectorEnv in every mode, and tells the fault of a faulty one."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from pretraingym.env import check_vector_env
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

SAME, NEXT, OFF = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED
CALLS = count()
OBSERVATION, REWARD, TERMINATED, TRUNCATED = range(4)  # the places of what step returns
Make = Callable[..., ConsoleVectorEnv]


@pytest.fixture
def make(tiny_corpus: Corpus, tiny_setting: Setting) -> Make:
    def make(kind: type[ConsoleVectorEnv], mode: AutoresetMode = SAME, **given: Any) -> ConsoleVectorEnv:
        return kind(2, corpus=tiny_corpus.path, setting=tiny_setting, autoreset_mode=mode, **given)

    return make


@pytest.mark.parametrize("mode", AutoresetMode)
def test_the_environment_passes(make: Make, mode: AutoresetMode) -> None:
    check_vector_env(make(ConsoleVectorEnv, mode, group_size=1 if mode is SAME else 2))


def faulty(change: Callable[[ConsoleVectorEnv, Any], Any], method: str = "step") -> type[ConsoleVectorEnv]:
    """The environment with `change(env, answer)` in place of the answer of a method."""

    class Faulty(ConsoleVectorEnv):
        pass

    def changed(self: Any, *given: Any, **named: Any) -> Any:
        answer = getattr(ConsoleVectorEnv, method)(self, *given, **named)
        return change(self, answer)

    setattr(Faulty, method, changed)
    return Faulty


def replaced(place: int, change: Callable[[ConsoleVectorEnv, Any], Any]) -> type[ConsoleVectorEnv]:
    """One part of what step returns is another."""
    return faulty(lambda env, answer: (*answer[:place], change(env, answer[place]), *answer[place + 1 :]))


def with_info(change: Callable[[dict[str, Any]], Any]) -> type[ConsoleVectorEnv]:
    def changed(env: ConsoleVectorEnv, answer: Any) -> Any:
        change(answer[-1])
        return answer

    return faulty(changed)


def one_array(env: ConsoleVectorEnv, reward: np.ndarray) -> np.ndarray:
    kept: np.ndarray = vars(env).setdefault("kept", reward)
    kept[...] = reward
    return kept


def summed(env: ConsoleVectorEnv, reward: np.ndarray) -> np.ndarray:
    """Depends on an array that was handed out."""
    previous = vars(env).get("previous", np.zeros_like(reward))
    env.previous = np.where(env.runs.episode.interval_N[:2] == 1, 0, previous) + reward  # type: ignore[attr-defined]
    handed: np.ndarray = env.previous  # type: ignore[attr-defined]
    return handed


class UsesTheAction(ConsoleVectorEnv):
    """NEXT_STEP, but for an info that tells of ignored actions."""

    def step(self, actions: np.ndarray) -> Any:
        *answer, info = super().step(actions)
        return *answer, info | {"action": actions.copy(), "_action": np.ones(self.num_envs, bool)}


class TakesAnyMask(ConsoleVectorEnv):
    """DISABLED, and resets all slots whatever the mask."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        return super().reset(seed=seed)


class TakesIntegers(ConsoleVectorEnv):
    """DISABLED, with masks of any type."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        given = {key: np.asarray(value, bool) for key, value in (options or {}).items()}
        return super().reset(seed=seed, options=given)


class GoesOn(ConsoleVectorEnv):
    """DISABLED, and steps of done slots are taken."""

    def step(self, actions: np.ndarray) -> Any:
        if self.runs.done_N.any():
            return self.last
        self.last = super().step(actions)
        return self.last


FAULTS = [
    (
        replaced(OBSERVATION, lambda env, seen: seen | {"mask": seen["mask"].astype(np.float64)}),
        SAME,
        r"\['mask'\] is float64",
    ),
    (
        replaced(OBSERVATION, lambda env, seen: seen | {"mask": seen["mask"] + 1}),
        SAME,
        "step is outside observation_space",
    ),
    (
        replaced(REWARD, lambda env, reward: list(reward)),
        SAME,
        r"reward is list, expected a numpy array of float32 \(2,\)",
    ),
    (replaced(REWARD, lambda env, reward: reward * np.nan), SAME, "expected finite numbers"),
    (replaced(TERMINATED, lambda env, done: done.astype(int)), SAME, "terminated is int64"),
    (replaced(TERMINATED, lambda env, done: done & False), NEXT, r"slots \[0, 1\] never terminated in 12 steps"),
    (replaced(TRUNCATED, lambda env, cut: ~cut), SAME, "truncated is True, expected terminated"),
    (with_info(lambda info: info.pop("_loss")), SAME, "has 'loss' without '_loss'"),
    (with_info(lambda info: info.pop("loss")), SAME, "the mask '_loss', but no 'loss'"),
    (
        with_info(lambda info: info.update(loss=np.zeros(3))),
        SAME,
        r"'loss'\] is float64 \(3,\), expected an array of 2",
    ),
    (with_info(lambda info: info.pop("final_obs", info.pop("_final_obs", None))), SAME, "_final_obs'] is"),
    (
        with_info(lambda info: info.update(final_obs={}) if "final_obs" in info else None),
        SAME,
        "is dict, expected an arr",
    ),
    (replaced(REWARD, one_array), SAME, "changed in a later call"),
    (replaced(REWARD, summed), SAME, "writing into returned arrays"),
    (replaced(REWARD, lambda env, reward: reward + np.float32(next(CALLS))), SAME, "same seed"),
    (replaced(REWARD, lambda env, reward: reward + np.float32(np.random.rand())), SAME, "generator of numpy.random"),  # noqa: NPY002
    (replaced(REWARD, lambda env, reward: reward * float(torch.rand(1))), SAME, "global generator of torch"),
    (replaced(REWARD, lambda env, reward: reward + 1), NEXT, "expected 0 and False: it begins anew"),
    (UsesTheAction, NEXT, "used its action, expected it ignored"),
    (TakesAnyMask, OFF, "the observation of others changed"),
    (TakesIntegers, OFF, "took a reset_mask of integers"),
    (GoesOn, OFF, "step took an action of a slot that is done"),
]


@pytest.mark.parametrize(("kind", "mode", "message"), FAULTS)
def test_faults_are_told(make: Make, kind: type[ConsoleVectorEnv], mode: AutoresetMode, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_vector_env(make(kind, mode), max_steps=12)


def test_what_is_declared_is_checked(make: Make) -> None:
    env = make(ConsoleVectorEnv)
    env.metadata["autoreset_mode"] = "SameStep"
    with pytest.raises(InputError, match="'autoreset_mode'] is 'SameStep', expected a gymnasium.vector.AutoresetMode"):
        check_vector_env(env)
    env.action_space = env.single_action_space
    with pytest.raises(InputError, match="action_space is Box.* expected batch_space"):
        check_vector_env(env)
    with pytest.raises(InputError, match="environment is int, expected a gymnasium.vector.VectorEnv"):
        check_vector_env(3)  # type: ignore[arg-type]
