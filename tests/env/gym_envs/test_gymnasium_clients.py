"""What Gymnasium has for its own environments works on these: wrappers, SyncVectorEnv, make, specs, checks."""

import copy
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import wrappers
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import vector
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import pretraingym.env  # noqa: F401 (registers the environments)
from pretraingym.env.checks.returns import same
from pretraingym.env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

ID, CONSOLE = "PretrainGym/Surrogate-v2", "PretrainGym/Console-v2"
NEXT, SAME, OFF = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
HORIZON, AGENTS = 6, 4  # of the default surrogate
FLAT = AGENTS + AGENTS * len(AGENT_FEATURES) + len(TRAINING_FEATURES)
Make = Callable[..., Any]
Actions = Callable[..., Iterator[np.ndarray]]


# -- as SyncVectorEnv --------------------------------------------------------------------------------------------------


def as_sync(value: Any) -> Any:
    """An answer without what may differ: SyncVectorEnv has rewards in float64."""
    observation, reward, *rest = value
    return observation, reward.astype(np.float32), *rest


@pytest.mark.parametrize("mode", AutoresetMode)
def test_all_that_it_returns_is_what_sync_vector_env_returns(
    native: Make, single: Make, mode: AutoresetMode, actions_of: Actions
) -> None:
    ours, theirs = native(autoreset_mode=mode), SyncVectorEnv([single] * 2, autoreset_mode=mode)
    assert (ours.autoreset_mode, ours.metadata["autoreset_mode"]) == (mode, mode)
    assert ours.observation_space == theirs.observation_space
    assert same(ours.reset(seed=[3, 8]), theirs.reset(seed=[3, 8]))
    for step, actions in enumerate(actions_of(ours, 2 * HORIZON + 2)):
        one, other = ours.step(actions), theirs.step(actions)
        assert same(as_sync(one), as_sync(other)), step
        if mode is OFF and one[2].any():
            for mask in np.eye(2, dtype=bool):
                assert same(*(env.reset(options={"reset_mask": mask}) for env in (ours, theirs)))


def test_one_seed_gives_each_slot_a_series_of_its_own(native: Make, single: Make) -> None:
    seeds = [native(3).reset(seed=seed)[1]["run_seed"] for seed in (0, np.int64(0), 1)]
    assert same(seeds[0], seeds[1])
    assert len({*seeds[0], *seeds[2]}) == 6
    assert single().reset(seed=1)[1]["run_seed"] == seeds[2][0]


def test_a_list_of_seeds(native: Make, actions_of: Actions) -> None:
    env = native(4, group_size=2)
    seeds = env.reset(seed=[5, np.int32(5), 9, 9])[1]["run_seed"]
    assert same(env.reset(seed=np.array([5, 5, 9, 9]))[1]["run_seed"], seeds)
    twin = env.unwrapped.fork()
    for actions in actions_of(env, HORIZON + 1):
        assert same(env.step(actions), twin.step(actions))
    drawn = env.reset(seed=[5, 5, None, None])[1]["run_seed"]
    assert same(drawn[:2], seeds[:2])
    assert drawn[2] == drawn[3] != seeds[2]


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (-1, "seed is -1, expected a whole number from 0 up or a list of 2"),
        (1.0, "seed is 1.0, expected a whole number"),
        (True, "seed is True, expected"),
        ("x", "seed is 'x', expected"),
        ([1], r"seed has shape \(1,\), expected a whole number or a list of 2"),
        ([1, "x"], "seed is 'x', expected a whole number from 0 up"),
    ],
)
def test_bad_seeds_are_refused(native: Make, single: Make, seed: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        native().reset(seed=seed)
    with pytest.raises(InputError, match="expected a whole number from 0 up"):
        single().unwrapped.reset(seed=seed)


def test_seeds_of_a_group_are_one(native: Make) -> None:
    with pytest.raises(InputError, match=r"seed of group 0 are \[1, 2\], expected the same"):
        native(2, group_size=2).reset(seed=[1, 2])


# -- wrappers ----------------------------------------------------------------------------------------------------------


def flat(env: Any) -> Any:
    return vector.FlattenObservation(env)


def half(value: np.ndarray) -> np.ndarray:
    return value / 2


VECTOR_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "FlattenObservation": flat,
    "FilterObservation": lambda env: vector.FilterObservation(env, ["agents", "mask"]),
    "NormalizeObservation": lambda env: vector.NormalizeObservation(flat(env)),
    "RescaleObservation": lambda env: vector.RescaleObservation(flat(env), -1, 1),
    "ReshapeObservation": lambda env: vector.ReshapeObservation(flat(env), (1, FLAT)),
    "DtypeObservation": lambda env: vector.DtypeObservation(flat(env), np.float64),
    "TransformObservation": lambda env: vector.TransformObservation(flat(env), half),
    "VectorizeTransformObservation": lambda env: vector.VectorizeTransformObservation(
        env, wrappers.TransformObservation, func=lambda seen: seen["mask"], observation_space=env.single_action_space
    ),
    "TransformAction": lambda env: vector.TransformAction(env, half),
    "VectorizeTransformAction": lambda env: vector.VectorizeTransformAction(env, wrappers.ClipAction),
    "ClipAction": vector.ClipAction,
    "RescaleAction": lambda env: vector.RescaleAction(env, 0, 1),
    "TransformReward": lambda env: vector.TransformReward(env, half),
    "VectorizeTransformReward": lambda env: vector.VectorizeTransformReward(env, wrappers.ClipReward, max_reward=0.1),
    "ClipReward": lambda env: vector.ClipReward(env, -0.1, 0.1),
    "NormalizeReward": vector.NormalizeReward,
    "RecordEpisodeStatistics": vector.RecordEpisodeStatistics,
    "DictInfoToList": vector.DictInfoToList,
    "NumpyToTorch": vector.NumpyToTorch,
    "ArrayConversion": lambda env: vector.ArrayConversion(env, np, np),
}
OF_PICTURES = {"GrayscaleObservation", "ResizeObservation", "RecordVideo", "HumanRendering"}
OF_JAX = {"JaxToNumpy", "JaxToTorch"}


def test_no_wrapper_is_left_out() -> None:
    assert set(vector.__all__) - OF_PICTURES - OF_JAX - set(VECTOR_WRAPPERS) == set()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # in Gymnasium's Box of float64
@pytest.mark.parametrize("name", VECTOR_WRAPPERS)
def test_vector_wrappers_take_it_as_it_is_made(native: Make, single: Make, name: str) -> None:
    if name not in vector.__all__:
        pytest.skip("this version of Gymnasium does not have it")
    ours, theirs = (VECTOR_WRAPPERS[name](env) for env in (native(), SyncVectorEnv([single] * 2)))
    assert ours.observation_space == theirs.observation_space
    answers = []
    for env in (ours, theirs):
        env.action_space.seed(3)
        answers.append([env.reset(seed=[1, 2])])
        answers[-1] += [env.step(_as_taken(env, env.action_space.sample())) for _ in range(HORIZON + 2)]
    for one, other in zip(*answers, strict=True):
        assert type(one[-1]) is type(other[-1])
        for mine, its in zip(_arrays(one), _arrays(other), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


def _as_taken(env: Any, actions: np.ndarray) -> Any:
    return torch.from_numpy(actions) if isinstance(env, vector.NumpyToTorch) else actions


def _arrays(value: Any) -> list[np.ndarray]:
    """What is nested in it, but for wall-clock times."""
    if isinstance(value, dict):
        return [array for key in sorted(value) if key != "t" for array in _arrays(value[key])]
    if isinstance(value, tuple | list):
        return [array for each in value for array in _arrays(each)]
    return [np.asarray(value, float)]


def test_the_statistics_of_episodes(native: Make, actions_of: Actions) -> None:
    env = vector.RecordEpisodeStatistics(native())
    env.reset(seed=0)
    rewards, info = [], {}
    for actions in actions_of(env, HORIZON):
        _, reward, *_, info = env.step(actions)
        rewards.append(reward)
    assert info["episode"]["l"].tolist() == [HORIZON] * 2
    np.testing.assert_allclose(info["episode"]["r"], np.sum(rewards, 0), rtol=1e-5)


SINGLE_WRAPPERS: dict[str, Callable[[Any], Any]] = {
    "RecordEpisodeStatistics": wrappers.RecordEpisodeStatistics,
    "TimeLimit": lambda env: wrappers.TimeLimit(env, 4),
    "Autoreset": wrappers.Autoreset,
    "FlattenObservation": wrappers.FlattenObservation,
    "FilterObservation": lambda env: wrappers.FilterObservation(env, ["statistics"]),
    "NormalizeObservation": lambda env: wrappers.NormalizeObservation(wrappers.FlattenObservation(env)),
    "FrameStackObservation": lambda env: wrappers.FrameStackObservation(wrappers.FlattenObservation(env), 3),
    "TimeAwareObservation": lambda env: wrappers.TimeAwareObservation(env, normalize_time=True),
    "NormalizeReward": wrappers.NormalizeReward,
    "RescaleAction": lambda env: wrappers.RescaleAction(env, 0, 1),
    "NumpyToTorch": wrappers.NumpyToTorch,
    "RenderCollection": wrappers.RenderCollection,
    "AddRenderObservation": wrappers.AddRenderObservation,
}


@pytest.mark.parametrize("name", SINGLE_WRAPPERS)
def test_wrappers_of_one_run(single: Make, name: str, actions_of: Actions) -> None:
    env = SINGLE_WRAPPERS[name](single(render_mode="rgb_array"))
    seen, _ = env.reset(seed=0)
    ends = []
    for actions in actions_of(env, 4):
        if name == "NumpyToTorch":
            seen, *_, truncated, _ = env.step(torch.from_numpy(actions))
        else:
            seen, *_, truncated, _ = env.step(actions)
            assert env.observation_space.contains(seen)
        ends.append(truncated)
    assert ends == [False, False, False, name == "TimeLimit"]


@pytest.mark.parametrize("how", ["sync", "async"])
def test_other_ways_of_many(tiny_corpus: Corpus, how: str, actions_of: Actions) -> None:
    env = gym.make_vec(
        ID,
        num_envs=2,
        vectorization_mode=how,
        wrappers=[wrappers.FlattenObservation],
        vector_kwargs={"context": "fork"} if how == "async" else None,
        corpus=str(tiny_corpus.path),
    )
    try:
        env.reset(seed=0)
        dones = [env.step(actions)[2] for actions in actions_of(env, HORIZON)]
    finally:
        env.close()
    assert [done.all() for done in dones] == [False] * (HORIZON - 1) + [True]


# -- the rest ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [None, "ansi", "rgb_array"])
def test_the_checkers_pass_without_a_warning(single: Make, mode: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(single(render_mode=mode).unwrapped)
        check_env_sb3(single(render_mode=mode).unwrapped)


def test_reset_and_step_give_the_same_info(single: Make) -> None:
    env = single()
    _, first = env.reset(seed=0)
    *_, later = env.step(np.zeros(AGENTS, np.float32))
    assert [(key, type(value)) for key, value in first.items()] == [(key, type(value)) for key, value in later.items()]
    assert first["loss"] > later["loss"]
    assert first["tokens"] < later["tokens"]


def test_use_after_close_is_refused(single: Make, native: Make) -> None:
    for env in (single().unwrapped, native().unwrapped):
        env.reset(seed=0)
        env.close()
        env.close()
        uses: list[Callable[[], Any]] = [env.reset, lambda env=env: env.step(env.action_space.sample()), env.render]
        for use in [*uses, env.get_state, env.fork]:
            with pytest.raises(InputError, match="the environment was closed: make another"):
                use()


ACTIONS: list[tuple[Any, str]] = [
    (np.array([None] * AGENTS), "actions are object, expected real numbers"),
    (np.zeros(AGENTS, complex), "actions are complex128, expected real numbers"),
    (np.array(["a"] * AGENTS), "actions are <U1, expected real numbers"),
    (np.zeros(AGENTS, bool), "actions are bool, expected real numbers"),
    (None, "actions are object, expected real numbers"),
    ({"a": 1}, "actions are object, expected real numbers"),
    ([[1.0], [1.0, 2.0]], "actions are list, expected an array of numbers"),
    (np.zeros(6), r"shape \((1, )?6,?\), expected"),
]


@pytest.mark.parametrize(("action", "message"), ACTIONS)
def test_actions_that_are_no_numbers_are_refused(single: Make, native: Make, action: Any, message: str) -> None:
    for env in (single().unwrapped, native(1).unwrapped):
        env.reset(seed=0)
        given = action[None] if isinstance(action, np.ndarray) and hasattr(env, "num_envs") else action
        with pytest.raises(InputError, match=message):
            env.step(given)
        env.step(np.zeros(env.action_space.shape, int))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_go_on_alone(single: Make, native: Make, copied: Callable[[Any], Any], actions_of: Actions) -> None:
    for env in (single(setting={"turn": 0.5}), native(group_size=2, autoreset_mode=SAME)):
        env.reset(seed=3)
        first, action = actions_of(env, 2)
        env.step(first)
        twin = copied(env)
        ahead = twin.step(action)
        twin.reset(seed=9)
        assert same(env.step(action), ahead)
        assert twin.spec == env.spec
        assert twin.metadata == env.metadata


def test_a_console_is_copied_too(tiny_corpus: Corpus, tiny_setting: Setting) -> None:
    env = gym.make(CONSOLE, corpus=tiny_corpus.path, setting=tiny_setting)
    env.reset(seed=3)
    twins, action = [copy.deepcopy(env), pickle.loads(pickle.dumps(env))], np.ones(env.action_space.shape, np.float32)
    expected = env.step(action)
    for twin in twins:
        assert same(twin.step(action), expected)
