"""The VecEnv adapter, checked against SB3's own DummyVecEnv of one-run environments."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from pretraingym.env.observation.features import TRAINING_FEATURES, column
from pretraingym.lm.io.errors import InputError
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

Make = Callable[..., Any]
NUM_AGENTS = 5  # of the toy


def test_same_transitions_as_dummy_vec_env(toy: Make, toy_single: Make) -> None:
    ours = SB3ConsoleVecEnv(toy(4, 2))
    theirs = DummyVecEnv([lambda slot=slot: toy_single(5, slot // 2) for slot in range(4)])  # type: ignore[misc]
    ours.seed(5)
    rng = np.random.default_rng(0)
    a, b = ours.reset(), theirs.reset()
    assert ours.reset_infos == theirs.reset_infos
    for _ in range(10):
        assert isinstance(b, dict)
        for key in b:
            np.testing.assert_array_equal(a[key], b[key])
        actions = rng.uniform(-1, 1, (4, NUM_AGENTS)).astype(np.float32)
        a, rewards, dones, infos = ours.step(actions)  # type: ignore[assignment]
        b, their_rewards, their_dones, their_infos = theirs.step(actions)
        np.testing.assert_array_equal(rewards, their_rewards)
        np.testing.assert_array_equal(dones, their_dones)
        assert rewards.dtype == np.float32
        assert dones.dtype == bool
        for slot in range(4):
            assert ("terminal_observation" in infos[slot]) == dones[slot]
            if dones[slot]:
                assert infos[slot]["TimeLimit.truncated"] is their_infos[slot]["TimeLimit.truncated"] is False
                for key, value in their_infos[slot]["terminal_observation"].items():
                    np.testing.assert_array_equal(infos[slot]["terminal_observation"][key], value)


def test_what_is_returned_is_not_reused(toy: Make) -> None:
    env = SB3ConsoleVecEnv(toy(4, 2))
    env.seed(0)
    env.reset()
    actions = np.zeros((4, NUM_AGENTS), np.float32)
    seen = [env.step(actions) for _ in range(8)]
    last = seen[3][3][0]["terminal_observation"]
    progress = column(TRAINING_FEATURES, "progress")
    assert last["statistics"][progress] == 1
    assert seen[3][0]["statistics"][0, progress] == 0
    assert len({id(step[3]) for step in seen}) == 8
    assert len({id(info) for step in seen for info in step[3]}) == 32


def test_seeds_and_options_are_used_once(toy: Make) -> None:
    native = toy(4, 2)
    env = SB3ConsoleVecEnv(native)
    env.seed(3)
    env.set_options({"episode": 7})
    env.reset()
    env.reset()
    assert native.resets == [(3, {"episode": 7}), (None, {"episode": 8})]


def test_a_run_that_ends_early_is_brought_back_into_step(toy: Make) -> None:
    native = toy(4, 2, fails_at=(1,))
    env = SB3ConsoleVecEnv(native)
    env.seed(0)
    env.reset()
    actions = np.zeros((4, NUM_AGENTS), np.float32)
    steps = [env.step(actions) for _ in range(12)]
    dones = np.stack([step[2] for step in steps])
    ends = np.zeros((12, 4), bool)
    ends[[3, 7, 11]] = True
    ends[5, 1] = True  # it failed in the second episode
    np.testing.assert_array_equal(dones, ends)
    assert steps[5][1][1] == -1
    assert [info.get("TimeLimit.truncated") for info in steps[7][3]] == [False, True, False, False]
    assert native.resets[1:] == [(None, {"episode": 2})]
    assert [run.episode for run in native.runs] == [3] * 4


def test_attributes_and_methods(toy: Make) -> None:
    native = toy(4, 2)
    env = VecMonitor(SB3ConsoleVecEnv(native))
    assert env.get_attr("group_size") == [2] * 4
    assert env.get_attr("horizon", indices=[0, 3]) == [4, 4]
    assert env.get_attr("horizon", indices=1) == [4]
    assert not env.has_attr("no_such_thing")
    env.set_attr("group_size", 4)
    assert native.group_size == 4
    env.env_method("reset", indices=[0], seed=9)
    assert native.base_seed == 9
    assert env.env_is_wrapped(gym.Wrapper) == [False] * 4
    with pytest.raises(InputError, match="leave out indices"):
        env.set_attr("group_size", 4, indices=[1])


def test_refuses_what_it_cannot_serve(toy: Make) -> None:
    native: VectorEnv = toy(2, 2)
    native.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    with pytest.raises(InputError, match="is AutoresetMode.NEXT_STEP, expected SAME_STEP or DISABLED"):
        SB3ConsoleVecEnv(native)
    env = SB3ConsoleVecEnv(toy(2, 2))
    env.set_options([{"episode": 1}, {"episode": 2}])
    with pytest.raises(InputError, match="options differ"):
        env.reset()


def test_when_all_runs_end_early_the_next_episode_begins_with_the_horizon(toy: Make) -> None:
    native = toy(4, 2, fails_at=(0, 1, 2, 3))
    env = SB3ConsoleVecEnv(native)
    env.seed(0)
    env.reset()
    steps = [env.step(np.zeros((4, NUM_AGENTS), np.float32)) for _ in range(12)]
    assert [place for place, step in enumerate(steps) if step[2].any()] == [3, 5, 7, 11]  # all failed at 5
    assert all(info["TimeLimit.truncated"] for info in steps[7][3])
    assert native.resets[1:] == [(None, {"episode": 2})]
    assert [run.episode for run in native.runs] == [3] * 4
