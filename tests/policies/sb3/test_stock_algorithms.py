"""The environments under Stable-Baselines3's own algorithms and policies, with nothing of ours but the adapter."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import TQC, TRPO, RecurrentPPO
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    unwrap_vec_normalize,
)

from pretraingym.env.checks.returns import same
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.sb3.vec_env import SB3ConsoleVecEnv

ID = "pretraingym.env:PretrainGym/Surrogate-v2"
SMALL: dict[str, Any] = {"net_arch": [8]}
ON_POLICY = {"n_steps": 6, "batch_size": 12, "n_epochs": 1, "policy_kwargs": SMALL}
OFF_POLICY = {"learning_starts": 12, "batch_size": 8, "buffer_size": 100, "policy_kwargs": SMALL}
STOCK: list[tuple[type[BaseAlgorithm], dict[str, Any]]] = [
    (PPO, ON_POLICY),
    (A2C, {"n_steps": 6, "policy_kwargs": SMALL}),
    (TRPO, {"n_steps": 6, "batch_size": 12, "policy_kwargs": SMALL}),
    (RecurrentPPO, ON_POLICY | {"policy_kwargs": SMALL | {"lstm_hidden_size": 8}}),
    (SAC, OFF_POLICY),
    (TD3, OFF_POLICY),
    (DDPG, OFF_POLICY),
    (TQC, OFF_POLICY),
]


@pytest.fixture
def single(tiny_corpus: Corpus) -> Callable[[], gym.Env]:
    """Makes an environment of one run."""
    folder = str(tiny_corpus.path)
    return lambda: gym.make(ID, corpus=folder)


@pytest.fixture
def flat(single: Callable[[], gym.Env]) -> Callable[[], gym.Env]:
    return lambda: gym.wrappers.FlattenObservation(single())


@pytest.fixture
def adapted(tiny_corpus: Corpus) -> SB3ConsoleVecEnv:
    return SB3ConsoleVecEnv(gym.make_vec(ID, num_envs=2, corpus=str(tiny_corpus.path), autoreset_mode="SameStep"))


def check_learns_and_is_saved(
    algorithm: type[BaseAlgorithm], policy: str, env: VecEnv | gym.Env, given: dict[str, Any], folder: Path
) -> None:
    """It learns something, and the saved policy acts as the learned one."""
    name = policy.replace("Policy", "LstmPolicy") if algorithm is RecurrentPPO else policy
    model: Any = algorithm(name, env, seed=0, device="cpu", **copy.deepcopy(given))  # which they write into
    before = {key: value.clone() for key, value in model.policy.state_dict().items()}
    model.learn(36)
    assert any((value != before[key]).any() for key, value in model.policy.state_dict().items())
    model.save(folder / "policy")
    loaded: Any = algorithm.load(folder / "policy", device="cpu")
    seen = model.env.reset()
    action, _ = model.predict(seen, deterministic=True)
    np.testing.assert_array_equal(loaded.predict(seen, deterministic=True)[0], action)
    assert np.abs(action).max() <= 1


@pytest.mark.parametrize(("algorithm", "given"), STOCK, ids=lambda value: getattr(value, "__name__", ""))
def test_on_the_dict_through_the_adapter(
    algorithm: type[BaseAlgorithm], given: dict[str, Any], adapted: SB3ConsoleVecEnv, tmp_path: Path
) -> None:
    check_learns_and_is_saved(algorithm, "MultiInputPolicy", adapted, given, tmp_path)


@pytest.mark.parametrize(("algorithm", "given"), STOCK, ids=lambda value: getattr(value, "__name__", ""))
def test_on_the_flat_observation(
    algorithm: type[BaseAlgorithm], given: dict[str, Any], flat: Callable[[], gym.Env], tmp_path: Path
) -> None:
    check_learns_and_is_saved(algorithm, "MlpPolicy", DummyVecEnv([flat] * 2), given, tmp_path)


def test_the_first_line_of_a_tutorial(single: Callable[[], gym.Env], tmp_path: Path) -> None:
    check_learns_and_is_saved(PPO, "MultiInputPolicy", single(), ON_POLICY | {"batch_size": 6}, tmp_path)


def test_through_gymnasiums_vector_wrappers_and_the_adapter(tiny_corpus: Corpus, tmp_path: Path) -> None:
    native = gym.make_vec(ID, num_envs=2, corpus=str(tiny_corpus.path), autoreset_mode="Disabled")
    wrapped = gym.wrappers.vector.FlattenObservation(gym.wrappers.vector.RecordEpisodeStatistics(native))
    check_learns_and_is_saved(PPO, "MlpPolicy", SB3ConsoleVecEnv(wrapped), ON_POLICY, tmp_path)


def test_the_adapter_gives_the_same_in_both_modes(tiny_corpus: Corpus) -> None:
    answers = []
    for mode in ("SameStep", "Disabled"):
        native = gym.make_vec(ID, num_envs=2, corpus=str(tiny_corpus.path), autoreset_mode=mode)
        env, rng = SB3ConsoleVecEnv(native), np.random.default_rng(0)
        env.seed(3)
        answers.append([(env.reset(), env.reset_infos.copy())])
        for _ in range(14):
            answer = env.step(rng.uniform(-1, 1, (2, *env.action_space.shape)).astype(np.float32))
            answers[-1].append((*answer, env.reset_infos.copy()))
    assert same(*answers)
    assert "terminal_observation" in answers[0][6][3][0]


def test_in_processes_of_their_own(single: Callable[[], gym.Env], tmp_path: Path) -> None:
    env = SubprocVecEnv([single] * 2, start_method="fork")  # the others would import everything again
    try:
        check_learns_and_is_saved(PPO, "MultiInputPolicy", env, ON_POLICY, tmp_path)
    finally:
        env.close()


def test_vec_wrappers_and_evaluation(flat: Callable[[], gym.Env], adapted: SB3ConsoleVecEnv, tmp_path: Path) -> None:
    env = VecNormalize(VecFrameStack(VecMonitor(DummyVecEnv([flat] * 2)), 2))
    held_out = VecNormalize(VecFrameStack(VecMonitor(DummyVecEnv([flat])), 2), training=False, norm_reward=False)
    callback = EvalCallback(held_out, n_eval_episodes=2, eval_freq=12, best_model_save_path=str(tmp_path), verbose=0)
    PPO("MlpPolicy", env, seed=0, device="cpu", **copy.deepcopy(ON_POLICY)).learn(24, callback)
    assert np.isfinite(callback.best_mean_reward)
    assert unwrap_vec_normalize(env) is env
    env.save(str(tmp_path / "normalised"))
    loaded = VecNormalize.load(str(tmp_path / "normalised"), VecFrameStack(VecMonitor(DummyVecEnv([flat])), 2))
    np.testing.assert_array_equal(loaded.obs_rms.mean, env.obs_rms.mean)  # type: ignore[union-attr]
    monitored = VecMonitor(VecNormalize(adapted))
    monitored.reset()
    infos = [monitored.step(np.zeros((2, *monitored.action_space.shape), np.float32))[3] for _ in range(6)][-1]
    assert [info["episode"]["l"] for info in infos] == [6, 6]
    assert {"loss", "weights", "run_seed"} <= set(infos[0])
