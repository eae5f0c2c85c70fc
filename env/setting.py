"""A setting: everything an episode is made of but the corpus and the seed, as one value that is saved with a run."""

from dataclasses import dataclass, field
from pathlib import Path

from ..lm.corpus import Corpus
from ..lm.models import llama
from ..lm.muon import OptimizerConfig
from ..lm.proxies import ProxyStack, TrainConfig
from .episode_config import EpisodeConfig
from .task import Task


@dataclass(frozen=True)
class Setting:
    """`width`, `num_layers`, `context`: of the Llama that is trained; `agents`: names, empty = all the corpus has;
    `lr_warmup_steps`: of the learning rate. The defaults are the quickstart's proxy."""

    width: int = 48
    num_layers: int = 1
    context: int = 32
    agents: tuple[str, ...] = ()
    lr_warmup_steps: int = 20
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    episode: EpisodeConfig = field(default_factory=EpisodeConfig)

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The built corpus in that folder; without one, the default corpus, which is built on first use."""
        if corpus is None:
            from .default_corpus import default_corpus  # builds with libraries that reading does without

            return Task(default_corpus(), self.context, self.agents)
        return Task(Corpus.open(Path(corpus)), self.context, self.agents)

    def learner(self, task: Task, num_slots: int, device: str = "cpu") -> ProxyStack:
        """`num_slots` fresh models on this task's windows."""
        config = llama(task.corpus.vocab_size, self.width, self.num_layers, self.context)
        half_life = max(1.0, self.episode.steps_per_interval / 2)
        train = TrainConfig(self.episode.schedule(self.lr_warmup_steps), self.optimizer, half_life)
        return ProxyStack(config, task.windows, train, num_slots, device)
