"""The examples run, and learn."""

import shutil
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import pytest
import torch

from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.settings.setting import Setting
from pretraingym.experiments.examples.plain_torch import PlainConfig, advantages, main
from pretraingym.experiments.examples.trainer import TrainerConfig
from pretraingym.experiments.examples.trainer import main as trainer
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.policies.baselines.rules import Lift


def test_plain_torch_learns_on_the_surrogate(tiny_corpus: Corpus) -> None:
    result = main(PlainConfig(corpus=str(tiny_corpus.path), num_envs=32, rounds=24))
    assert result["last_return_nats"] > result["first_return_nats"] + 0.03


def test_plain_torch_runs_on_proxies(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    """One short round on real models: the same file drives both environments."""
    make_vec, clock = gym.make_vec, EpisodeConfig(num_intervals=2, steps_per_interval=2, batch_windows=4)
    setting = Setting(width=16, context=16, episode=clock)
    monkeypatch.setattr(gym, "make_vec", lambda *a, **k: make_vec(*a, setting=setting, **k))
    result = main(
        PlainConfig("PretrainGym/Console-v2", corpus=str(tiny_corpus.path), num_envs=4, group_size=2, rounds=1)
    )
    assert abs(result["first_return_nats"]) < 5


def test_a_policy_drives_a_trainer(tiny_corpus: Corpus, tmp_path: Path) -> None:
    config = TrainerConfig(tiny_corpus.path, "lift", tmp_path / "run", steps_per_interval=10)
    intervals = trainer(config)["intervals"]
    clock = EpisodeConfig(steps_per_interval=10)
    assert len(intervals) == clock.num_intervals
    assert intervals[-1]["validation_loss_nats"] < intervals[0]["validation_loss_nats"] - 0.3
    assert 1 - Lift().strength < intervals[-1]["weights"]["null"] + 1e-6 < 0.9  # it selects
    shutil.rmtree(tmp_path / "run" / f"checkpoint-{clock.total_steps}")  # the one at the end: that of step 50 is left
    assert trainer(replace(config, resume=True))["intervals"] == intervals


def test_advantage_is_against_the_rest_of_the_group() -> None:
    rewards = torch.tensor([[1.0, 0.0, 5.0, 5.0], [0.0, 2.0, 1.0, 1.0]])
    expected = torch.tensor([[-1.0, 1.0, 0.0, 0.0], [-2.0, 2.0, 0.0, 0.0]])
    torch.testing.assert_close(advantages(rewards, 2), expected / expected.std())
