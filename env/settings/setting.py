"""A setting: all that makes an episode, except the corpus and the seed, as one value that is saved with a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from ...lm.backend import Backend, Decay, Schedule
from ...lm.corpus.corpus import Corpus
from ...lm.device import check_device_name
from ...lm.io.errors import InputError
from ...lm.models.engine_config import EngineConfig
from ...lm.models.optimizer_config import OptimizerConfig
from ..episode_config import EpisodeConfig
from ..scenarios.task import Task
from .default_corpus import default_corpus

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig

    from ...lm.models.training import TrainConfig
    from ...lm.proxies.stack import ProxyStack
    from ...lm.target.target import Target

Precision = Literal["auto", "float32", "bfloat16"]


class EpisodeSetting(Protocol):
    """What an environment needs of a setting: `Setting`, for real models, or `SurrogateSetting`, for formulas."""

    @property
    def episode(self) -> EpisodeConfig:
        """The clock of an episode."""

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The task of the built corpus in that folder (None: a default one)."""

    def backend(self, task: Task, num_slots: int) -> Backend:
        """A backend of `num_slots` new runs on this task's windows."""


@dataclass(frozen=True)
class Setting:
    """The model, its training configuration, the agents and the clock of an episode. The defaults are the quickstart's
    proxy."""

    width: int = 48
    """hidden size of the Llama that is trained, a multiple of 64 above 64"""
    num_layers: int = 1
    """of that Llama"""
    model: Path | None = None
    """a folder with the config.json of another transformers causal LM to train; the vocabulary is the corpus's"""
    origin: Path | None = None
    """a folder of a transformers causal LM with its tokenizer: a target goes on from its weights"""
    tokenizer: Path | None = None
    """a folder with a tokenizer.json to read the corpus with (default: the corpus's own tokens); models with different
    vocabularies compare in bits a byte, not in nats a token"""
    context: int = 32
    """tokens of a window"""
    agents: tuple[str, ...] = ()
    """names, null first, settings after a colon as in quality:moves=true; empty: null, those that the corpus has labels
    of, and influence"""
    lr_warmup_steps: int = 20
    """optimiser steps in which the learning rate rises to its peak; at the end it falls to 0"""
    lr_decay: Decay = "linear"
    """how it falls: linear, or along half a cosine"""
    lr_decay_share: float = 1.0
    """the share of all steps, at the end, in which it falls (below 1: warm-up-stable-decay)"""
    device: str = "cpu"
    """torch device of the models: cpu, cuda (tried), mps or xpu (untried); with a number where there are several"""
    precision: Precision = "auto"
    """of the matrix products of a training step; auto: bfloat16 on a GPU; float32 on any CPU, so that a run's numbers
    do not depend on the CPU. A CPU that multiplies in bfloat16 (avx512_bf16, amx_bf16) trains 1.2 to 2.7 times as fast
    with it"""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)

    def __post_init__(self) -> None:
        for name, least in (("width", 2), ("num_layers", 1), ("context", 2), ("lr_warmup_steps", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least {least}")
        check_device_name(self.device)
        if not 0 < self.lr_decay_share <= 1:
            raise InputError(f"lr_decay_share is {self.lr_decay_share}, expected above 0, at most 1")
        if self.origin and (self.model or self.tokenizer):
            raise InputError("origin given with a model or a tokenizer, expected it alone: it brings its own")

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The task of the built corpus in that folder; without one, of the default corpus, which is built on first
        use."""
        if corpus is None:
            return self.task(default_corpus())
        return self.task(Corpus.open(Path(corpus)))

    def task(self, corpus: Corpus) -> Task:
        """The task of `corpus`. InputError: no such agents, tokenizer or labels."""
        if (tokenizer := self.origin or self.tokenizer) is not None:
            corpus = corpus.with_tokenizer(tokenizer)
        return Task(corpus, self.context, self.agents)

    @property
    def budget_tokens(self) -> int:
        """Tokens of a whole run whose windows are all full."""
        return self.episode.budget_tokens(self.context)

    def model_config(self, vocab_size: int, end_of_text: int | None = None) -> "PretrainedConfig":
        """The configuration of the model that is trained, with the token that ends a text. InputError: sizes that do
        not fit, or no usable config in `model`."""
        from ...lm.models.causal_lm import config_in, llama

        if self.origin is not None:
            return config_in(self.origin, vocab_size, self.context, keep_vocabulary=True)
        if self.model is not None:
            return config_in(self.model, vocab_size, self.context, end_of_text)
        return llama(vocab_size, self.width, self.num_layers, self.context, end_of_text)

    def num_params(self, vocab_size: int) -> int:
        """Parameters of the model that is trained. InputError: as `model_config`."""
        from ...lm.models.causal_lm import num_parameters

        return num_parameters(self.model_config(vocab_size))

    @property
    def products(self) -> "torch.dtype":
        """The type of the matrix products of a training step: `precision` on this device."""
        import torch

        half = self.precision == "bfloat16" or (self.precision == "auto" and not self.device.startswith("cpu"))
        return torch.bfloat16 if half else torch.float32

    @property
    def train_config(self) -> "TrainConfig":
        """How each model is trained."""
        from ...lm.models.training import TrainConfig

        clock = self.episode
        schedule = Schedule(clock.total_steps, self.lr_warmup_steps, self.lr_decay_share, self.lr_decay)
        half_life = max(1.0, clock.steps_per_interval / 2)
        return TrainConfig(schedule, self.optimizer, half_life, products=self.products)

    def backend(self, task: Task, num_slots: int) -> "ProxyStack":
        """`num_slots` new models on this task's windows. InputError: `origin` is given, which is for targets."""
        from ...lm.proxies.stack import ProxyStack

        if self.origin is not None:
            raise InputError(f"origin is {self.origin}, expected none: proxies begin afresh, a target may go on")
        config = self.model_config(task.corpus.vocab_size, task.corpus.end_of_text)
        return ProxyStack(config, task.windows, self.train_config, num_slots, self.device)

    def target(self, task: Task, engine: EngineConfig) -> "Target":
        """One model on this task's windows, trained as `engine` says."""
        from ...lm.target.target import Target

        config = self.model_config(task.corpus.vocab_size, task.corpus.end_of_text)
        return Target(config, task.windows, self.train_config, engine, self.device, self.origin)
