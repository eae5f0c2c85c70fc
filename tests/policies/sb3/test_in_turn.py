"""Environments in turn: each round is what its own environment plays under that episode number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from pretraingym.env.gym_envs.surrogate_envs import SurrogateVectorEnv
from pretraingym.env.settings.toy_setting import ToySetting
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.actors.set_actor import SetActor
from pretraingym.policies.learners.cma_es import CMAES
from pretraingym.policies.sb3.in_turn import EnvsInTurn
from pretraingym.policies.sb3.journal import JournalVecEnv
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

ROUNDS, SLOTS = 5, 8


def surrogate(twist: float) -> SurrogateVectorEnv:
    """Environments that differ in what they pay."""
    setting = ToySetting(twist=twist)
    return SurrogateVectorEnv(SLOTS, setting=setting, group_size=4, autoreset_mode=AutoresetMode.DISABLED)


def actions(env: VectorEnv, number: int) -> np.ndarray:
    return np.random.default_rng(number).uniform(-1, 1, env.action_space.shape).astype(np.float32)


def played_alone(env: VectorEnv, episode: int) -> list[np.ndarray]:
    """Statistics and rewards of one round."""
    seen, _ = env.reset(seed=3, options={"episode": episode})
    told = [seen["statistics"]]
    for step in range(env.horizon):  # type: ignore[attr-defined]
        seen, rewards, *_ = env.step(actions(env, episode * 100 + step))
        told += [seen["statistics"], rewards]
    return told


def test_every_round_is_its_environments_own() -> None:
    twists = (0.0, 0.05)
    venv = SB3ConsoleVecEnv(EnvsInTurn([surrogate(twist) for twist in twists]))
    venv.seed(3)
    seen = venv.reset()
    for number in range(ROUNDS):
        expected = iter(played_alone(surrogate(twists[number % 2]), number))
        np.testing.assert_array_equal(seen["statistics"], next(expected))
        for step in range(venv.horizon):
            seen, rewards, dones, infos = venv.step(actions(venv.env, number * 100 + step))  # type: ignore[assignment]
            last = [info["terminal_observation"]["statistics"] for info in infos] if dones.all() else seen["statistics"]
            np.testing.assert_array_equal(np.array(last), next(expected))
            np.testing.assert_array_equal(rewards, next(expected))
        assert dones.all()
        assert venv.episode == number + 1


def test_a_learner_goes_on_from_its_journal_in_the_environment_that_is_due(toy_actor: SetActor, tmp_path: Path) -> None:
    def learned(path: Path, rounds: int) -> dict[str, torch.Tensor]:
        venv = JournalVecEnv(SB3ConsoleVecEnv(EnvsInTurn([surrogate(0.0), surrogate(0.05), surrogate(0.1)])), path)
        model = CMAES(venv, toy_actor, seed=1).learn(rounds * SLOTS * venv.venv.horizon)
        return dict(model.policy.actor.state_dict())

    learned(tmp_path / "halves", 2)
    halves, whole = learned(tmp_path / "halves", ROUNDS), learned(tmp_path / "whole", ROUNDS)
    for name, value in whole.items():
        assert torch.equal(value, halves[name]), name


def test_a_slot_that_ends_early_goes_on_in_its_own_round(toy: Callable[..., Any]) -> None:
    class Disabled(toy):  # type: ignore[misc, valid-type]
        metadata = {"autoreset_mode": AutoresetMode.DISABLED}

    first, second = Disabled(), Disabled()
    env = EnvsInTurn([first, second])
    env.reset(seed=1)
    everyone, early = np.ones(8, bool), np.arange(8) == 2
    for mask in (early, everyone):  # before the horizon, all may have diverged
        env.reset(options={"reset_mask": mask})
    assert second.resets == []
    for step in range(env.horizon):
        env.step(actions(env, step))
    env.reset(options={"reset_mask": early})
    assert second.resets == []
    env.reset(options={"reset_mask": everyone})
    assert second.resets == [(1, {"episode": 1})]
    env.reset(options={"episode": 4})
    assert first.resets[-1] == (1, {"episode": 4})


def test_the_first_round_is_the_first_environments(toy: Callable[..., Any]) -> None:
    class Disabled(toy):  # type: ignore[misc, valid-type]
        metadata = {"autoreset_mode": AutoresetMode.DISABLED}

    first, second = Disabled(), Disabled()
    EnvsInTurn([first, second]).reset()
    assert (first.resets, second.resets) == ([(None, {"episode": 0})], [])


def test_refuses_environments_that_do_not_look_alike() -> None:
    other = SurrogateVectorEnv(4, setting=ToySetting(), group_size=4, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="num_envs of environment 2 is 4, expected 8, as the first one's"):
        EnvsInTurn([surrogate(0.0), other])
    itself = SurrogateVectorEnv(SLOTS, setting=ToySetting(), group_size=4)
    with pytest.raises(InputError, match="environment 1 has autoreset_mode .*, expected DISABLED"):
        EnvsInTurn([itself])
