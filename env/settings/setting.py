"""A setting: everything an episode is made of but the corpus and the seed, as one value that is saved with a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import torch
from transformers import PretrainedConfig

from ...lm.backend import Backend, Decay, Schedule
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.models.causal_lm import config_in, llama
from ...lm.models.engine_config import EngineConfig
from ...lm.models.optimizer import OptimizerConfig
from ...lm.models.training import TrainConfig
from ...lm.proxies.stack import ProxyStack
from ...lm.target.target import Target
from ..episode_config import EpisodeConfig
from ..scenarios.task import Task

Precision = Literal["auto", "float32", "bfloat16"]


class EpisodeSetting(Protocol):
    """What an environment needs of a setting: `Setting`, whose learners are real models, or `SurrogateSetting`."""

    @property
    def episode(self) -> EpisodeConfig:
        """The clock of an episode."""

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The built corpus in that folder (None: a default one) as this setting reads it."""

    def backend(self, task: Task, num_slots: int) -> Backend:
        """`num_slots` fresh runs on this task's windows."""


@dataclass(frozen=True)
class Setting:
    """The model, its recipe, the agents and the clock of an episode. The defaults are the quickstart's proxy."""

    width: int = 48
    """hidden size of the Llama that is trained, a multiple of 64 above 64"""
    num_layers: int = 1
    """of that Llama"""
    model: Path | None = None
    """a folder with a transformers config.json of another causal LM to train instead; the vocabulary is the corpus's"""
    origin: Path | None = None
    """a folder of a transformers causal LM with its tokenizer whose weights a target goes on from"""
    tokenizer: Path | None = None
    """a folder with a tokenizer.json to read the corpus with (default: the corpus's own tokens); with an own vocabulary
    the model cannot be compared in nats a token, but in bits a byte"""
    context: int = 32
    """tokens of a window"""
    agents: tuple[str, ...] = ()
    """names, null first, settings after a colon as in quality:moves=true; empty = those the corpus has labels of, and
    influence"""
    lr_warmup_steps: int = 20
    """optimiser steps in which the learning rate rises to its peak; it falls to 0 at the end"""
    lr_decay: Decay = "linear"
    """how it falls: linear, or along half a cosine"""
    lr_decay_share: float = 1.0
    """of all steps, the last ones, in which it falls (warm-up-stable-decay below 1)"""
    device: str = "cpu"
    """torch device of the models: cpu or cuda"""
    precision: Precision = "auto"
    """of the matrix products of a training step; auto: bfloat16 on a GPU, float32 on a CPU, so that a run's numbers do
    not depend on which. A CPU that multiplies in bfloat16 (avx512_bf16, amx_bf16) trains 1.2 to 2.7 times as fast
    with it"""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)

    def __post_init__(self) -> None:
        for name, least in (("width", 2), ("num_layers", 1), ("context", 2), ("lr_warmup_steps", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least {least}")
        if not 0 < self.lr_decay_share <= 1:
            raise InputError(f"lr_decay_share is {self.lr_decay_share}, expected above 0, at most 1")
        if self.origin and (self.model or self.tokenizer):
            raise InputError("origin given with a model or a tokenizer, expected it alone: it brings its own")

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The built corpus in that folder; without one, the default corpus, which is built on first use."""
        if corpus is None:
            from .default_corpus import default_corpus  # builds with libraries that reading does without

            return self.task(default_corpus())
        return self.task(Corpus.open(Path(corpus)))

    def task(self, corpus: Corpus) -> Task:
        """`corpus` as this setting reads it. InputError: no such agents, tokenizer or labels."""
        if (tokenizer := self.origin or self.tokenizer) is not None:
            corpus = corpus.with_tokenizer(tokenizer)
        return Task(corpus, self.context, self.agents)

    @property
    def budget_tokens(self) -> int:
        """Tokens of a whole run, where all windows are full."""
        return self.episode.budget_tokens(self.context)

    def model_config(self, vocab_size: int) -> PretrainedConfig:
        """Of the model that is trained. InputError: sizes that do not fit, or no usable config in `model`."""
        if self.origin is not None:
            return config_in(self.origin, vocab_size, self.context, keep_vocabulary=True)
        if self.model is not None:
            return config_in(self.model, vocab_size, self.context)
        return llama(vocab_size, self.width, self.num_layers, self.context)

    @property
    def products(self) -> torch.dtype:
        """What `precision` comes to on this device."""
        half = self.precision == "bfloat16" or (self.precision == "auto" and self.device != "cpu")
        return torch.bfloat16 if half else torch.float32

    @property
    def train_config(self) -> TrainConfig:
        """How each model is trained."""
        clock = self.episode
        schedule = Schedule(clock.total_steps, self.lr_warmup_steps, self.lr_decay_share, self.lr_decay)
        half_life = max(1.0, clock.steps_per_interval / 2)
        return TrainConfig(schedule, self.optimizer, half_life, products=self.products)

    def backend(self, task: Task, num_slots: int) -> ProxyStack:
        """`num_slots` fresh models on this task's windows. InputError: `origin` is for targets."""
        if self.origin is not None:
            raise InputError(f"origin is {self.origin}, expected none: proxies begin afresh, a target may go on")
        config = self.model_config(task.corpus.vocab_size)
        return ProxyStack(config, task.windows, self.train_config, num_slots, self.device)

    def target(self, task: Task, engine: EngineConfig) -> Target:
        """One model on this task's windows, to be trained as `engine` says."""
        config = self.model_config(task.corpus.vocab_size)
        return Target(config, task.windows, self.train_config, engine, self.device, self.origin)
