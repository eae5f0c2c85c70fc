"""Named starting points of the workflow commands: whole configurations, of which any flag changes a field."""

from collections.abc import Callable
from pathlib import Path

import tyro

from ..env.axes import AXES
from ..env.episode_config import EpisodeConfig
from ..env.setting import Setting
from ..lm.muon import OptimizerConfig
from .pretrain import PretrainConfig
from .train_console import LearnConfig, TrainConsoleConfig


def quick_console() -> TrainConsoleConfig:
    """The quickstart's learning: about two minutes on two cores."""
    return TrainConsoleConfig()


def long_console() -> TrainConsoleConfig:
    """Ten times the quickstart's episodes, eight scenarios at a time, on every axis: about 20 minutes on two cores."""
    learn = LearnConfig(episodes=960, groups=8, axes=AXES)
    return TrainConsoleConfig(preset="long", folder=Path("runs/console-long"), learn=learn)


def quick_pretrain() -> PretrainConfig:
    """The quickstart's target."""
    return PretrainConfig(policy=tyro.MISSING)


def pretrain_5m() -> PretrainConfig:
    """5.0 million parameters on 20 million tokens, windows of 128, 20 intervals. Rates are assumed: the quickstart's,
    halved for the depth and width; meant for a GPU, or for a night on two cores."""
    clock = EpisodeConfig(num_intervals=20, steps_per_interval=120, batch_windows=64, warmup_steps=70)
    rates = OptimizerConfig(muon_lr=0.015, adam_lr=0.005)
    setting = Setting(width=256, num_layers=6, context=128, lr_warmup_steps=100, optimizer=rates, episode=clock)
    return PretrainConfig(policy=tyro.MISSING, preset="5m", folder=Path("runs/pretrain-5m"), target=setting)


PRESETS: dict[type, dict[str, Callable[[], object]]] = {
    TrainConsoleConfig: {"quick": quick_console, "long": long_console},
    PretrainConfig: {"quick": quick_pretrain, "5m": pretrain_5m},
}
