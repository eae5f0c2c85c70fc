"""Presets of train-console and pretrain: whole configurations. A flag changes one field of a preset."""

from collections.abc import Callable
from pathlib import Path

import tyro

from ...env.episode_config import EpisodeConfig
from ...env.scenarios.distribution import ScenarioDistribution
from ...env.settings.setting import Setting
from ...lm.models.engine_config import EngineConfig
from ...lm.models.optimizer_config import OptimizerConfig
from .pretrain import Preset, PretrainConfig
from .train_console import LearnConfig, TrainConsoleConfig


def quick_console() -> TrainConsoleConfig:
    """The quickstart's learning: about two minutes on two cores."""
    return TrainConsoleConfig()


def long_console() -> TrainConsoleConfig:
    """Ten times the quickstart's episodes, on eight scenarios at a time that vary in everything: about 20 minutes on
    two cores."""
    learn = LearnConfig(episodes=960, groups=8, distribution=ScenarioDistribution())
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


def large(name: Preset, width: int, num_layers: int, steps_per_interval: int, engine: EngineConfig) -> PretrainConfig:
    """A Llama on about 20 tokens a parameter, half a million a step, a decision every twentieth of the way. The rates
    are assumed: Muon's as published for models of this size, AdamW's of embeddings and head a seventh of it."""
    clock = EpisodeConfig(
        num_intervals=20,
        steps_per_interval=steps_per_interval,
        batch_windows=512,
        warmup_steps=max(1, round(0.6 * steps_per_interval)),
        validation_windows=192,
    )
    setting = Setting(
        width=width,
        num_layers=num_layers,
        context=1024,
        device="cuda",
        lr_warmup_steps=clock.total_steps // 50,
        lr_decay_share=0.5,
        optimizer=OptimizerConfig(muon_lr=0.02, adam_lr=0.003, clip_norm=1.0),
        episode=clock,
    )
    return PretrainConfig(
        policy=tyro.MISSING, preset=name, folder=Path(f"runs/pretrain-{name}"), target=setting, engine=engine
    )


def pretrain_125m() -> PretrainConfig:
    """135 million parameters with a vocabulary of 32,768, on 2.7 billion tokens: about an hour on one H100."""
    return large("125m", 768, 12, 248, EngineConfig(pass_sequences=32, compile=True))


def pretrain_350m() -> PretrainConfig:
    """370 million parameters, on 7.3 billion tokens: ten hours on one H100."""
    return large("350m", 1024, 24, 680, EngineConfig(pass_sequences=16, compile=True))


def pretrain_760m() -> PretrainConfig:
    """780 million parameters, on 16 billion tokens: two days on one H100, hours on eight."""
    return large("760m", 1536, 24, 1450, EngineConfig(pass_sequences=8, compile=True))


def pretrain_1b3() -> PretrainConfig:
    """1.3 billion parameters, on 27 billion tokens: 17 hours on eight H100, each with a share of every tensor."""
    return large("1b3", 2048, 24, 2500, EngineConfig(pass_sequences=8, compile=True, parallel="fsdp"))


PRESETS: dict[type, dict[str, Callable[[], object]]] = {
    TrainConsoleConfig: {"quick": quick_console, "long": long_console},
    PretrainConfig: {
        "quick": quick_pretrain,
        "5m": pretrain_5m,
        "125m": pretrain_125m,
        "350m": pretrain_350m,
        "760m": pretrain_760m,
        "1b3": pretrain_1b3,
    },
}
