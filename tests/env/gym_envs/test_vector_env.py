"""The faces of the environment against the checkers, against each other and against their contract."""

import warnings
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import pretraingym.env  # noqa: F401 (registers the environments)
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.backend import Backend
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

ID = "PretrainGym/Console-v2"


@pytest.fixture
def options(tiny_corpus: Corpus, tiny_setting: Setting) -> dict[str, Any]:
    return {"corpus": str(tiny_corpus.path), "setting": tiny_setting}


def roll(env: Any, actions: np.ndarray, steps: int, **reset: Any) -> list[Any]:
    env.reset(**reset)
    return [env.step(actions) for _ in range(steps)]


def test_both_checkers_pass_without_a_warning(options: dict[str, Any]) -> None:
    env = gym.make("pretraingym.env:" + ID, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped, skip_render_check=True)
        check_env_sb3(env.unwrapped)


@pytest.mark.filterwarnings("ignore:.*out of date")
@pytest.mark.parametrize("name", ["Console", "Surrogate"])
def test_the_first_version_is_told_to_be_out_of_date(name: str) -> None:
    for make in (gym.make, gym.make_vec):
        with pytest.raises(gym.error.DeprecatedEnv, match=f"Please use `PretrainGym/{name}-v2` instead"):
            make(f"PretrainGym/{name}-v0")


def test_single_and_vector_face_agree(options: dict[str, Any]) -> None:
    one = gym.make(ID, **options)
    many = gym.make_vec("pretraingym.env:" + ID, num_envs=1, **options)
    assert many.single_observation_space == one.observation_space
    action = np.full(one.action_space.shape, 0.3, np.float32)
    seen, _ = one.reset(seed=4)
    seen_many, _ = many.reset(seed=4)
    for step in range(3):
        for key in seen:
            np.testing.assert_array_equal(seen[key], seen_many[key][0])
        seen, reward, terminated, truncated, info = one.step(action)
        seen_many, rewards, dones, cuts, infos = many.step(action[None])
        assert (np.float32(reward), terminated, truncated) == (rewards[0], dones[0], cuts[0])
        assert info["loss"] == infos["loss"][0]
        assert terminated == (step == 2)
    for key in seen:
        np.testing.assert_array_equal(seen[key], seen_many[key][0])


def test_episodes_end_with_the_budget_and_begin_anew(options: dict[str, Any]) -> None:
    env = gym.make_vec(ID, num_envs=2, **options)
    assert env.autoreset_mode is env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    steps = roll(env, np.zeros(env.action_space.shape, np.float32), 7, seed=0)
    for ends in (np.all, np.any):
        assert [bool(ends(step[2])) for step in steps] == [False, False, True, False, False, False, True]
    assert not any(step[3].any() for step in steps)
    assert (steps[2][0]["statistics"][:, 0] == 1).all()
    progress = steps[3][0]["statistics"][:, 0]
    assert (progress < 0.2).all()  # the observation is that of the next episode
    assert not steps[3][1].any()


def test_group_members_differ_in_their_actions_alone(options: dict[str, Any]) -> None:
    env = gym.make_vec(ID, num_envs=4, group_size=2, **options)
    same = np.zeros(env.action_space.shape, np.float32)
    rewards = np.sum([step[1] for step in roll(env, same, 3, seed=1)], 0)
    assert rewards[0] == rewards[1]
    assert rewards[2] == rewards[3] != rewards[0]


def test_paired_reward_is_the_gain_over_the_control(options: dict[str, Any], tiny_corpus: Corpus) -> None:
    action = np.full((1, 7), -1.0, np.float32)
    action[:, 0] = 1.0  # as natural as the action map allows
    returns = {}
    for reward in ("raw", "paired"):
        env = gym.make_vec(ID, num_envs=1, reward=reward, **options)
        returns[reward] = sum(step[1][0] for step in roll(env, action, 3, seed=2))
    assert returns["raw"] > 0.05
    assert abs(returns["paired"]) < 0.05 * returns["raw"] + 0.02


def test_resets_can_name_episode_and_scenario(options: dict[str, Any]) -> None:
    env = gym.make_vec(ID, num_envs=2, **options)
    action = np.zeros(env.action_space.shape, np.float32)
    later = roll(env, action, 7, seed=7)[4:]
    jumped = roll(env, action, 3, seed=7, options={"episode": 1})
    for expected, seen in zip(later, jumped, strict=True):
        np.testing.assert_array_equal(seen[1], expected[1])
    scenario = Scenario((("code", 1.0),), 3.0)
    env.reset(seed=7, options={"scenario": scenario})
    assert env.unwrapped.runs.run_scenario(0, 0) == scenario


def test_a_run_that_diverges_is_terminated_with_the_penalty(
    options: dict[str, Any], break_model: Callable[[Backend, int], None]
) -> None:
    env = gym.make_vec(ID, num_envs=3, group_size=3, autoreset_mode="SameStep", **options)
    action = np.zeros(env.action_space.shape, np.float32)
    healthy = roll(env, action, 6, seed=3)
    env.reset(seed=3)
    episode = env.unwrapped.runs.episode
    break_model(episode.backend, 1)
    seen = [env.step(action) for _ in range(6)]
    assert seen[0][1][1] == -1.0
    assert list(seen[0][2]) == [False, True, False]
    for expected, step in zip(healthy, seen, strict=True):
        np.testing.assert_array_equal(step[1][[0, 2]], expected[1][[0, 2]])
    # It repeats its episode, one step behind the others, and is paired with the control's same interval.
    np.testing.assert_allclose([step[1][1] for step in seen[1:4]], [step[1][1] for step in healthy[:3]], atol=1e-6)
    assert [bool(step[2][1]) for step in seen] == [True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"group_size": 3}, "num_envs 4 is not a multiple of group_size 3"),
        ({"reward": "fun"}, "reward is 'fun', expected one of paired, raw"),
        ({"group_size": 2.0}, "group_size is 2.0, expected a whole number"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        gym.make_vec(ID, num_envs=4, **options, **given)


def test_bad_actions_are_refused(options: dict[str, Any]) -> None:
    env = gym.make_vec(ID, num_envs=1, **options)
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"actions have shape \(1, 3\), expected \(1, 7\)"):
        env.step(np.zeros((1, 3)))
    with pytest.raises(InputError, match="actions contain NaN or infinity"):
        env.step(np.full((1, 7), np.nan))


@pytest.mark.parametrize("reference", [(), (("prose", 0.7),), (("prose", 1.5), ("code", -0.5))])
def test_bad_scenarios_are_refused(reference: tuple[tuple[str, float], ...]) -> None:
    with pytest.raises(InputError, match="expected weights that sum to 1"):
        Scenario(reference, 3.0)
    with pytest.raises(InputError, match="pool_budgets is 0"):
        Scenario((("prose", 1.0),), 0)
