"""The surrogate of a labelled corpus: which kinds of text help which reference task, read from the labels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...lm.backend import Schedule
from ...lm.corpus.corpus import REFERENCE_PARTS, Corpus, reference_split
from ...lm.io.errors import InputError
from ...lm.surrogate import Dynamics, Surrogate
from ..episode_config import EpisodeConfig
from ..scenarios.task import Task
from .default_corpus import synthetic_corpus
from .fitted_dynamics import FittedDynamics

CLOCK = EpisodeConfig(
    steps_per_interval=8,
    batch_windows=8,
    warmup_steps=2,
    probe_windows=64,
    reference_windows=16,
    validation_windows=16,
    final_windows=64,
)


@dataclass(frozen=True)
class SurrogateSetting:
    """All that makes an episode on the surrogate, in place of `Setting`. The numbers of `Dynamics` that are not here
    have their defaults. A kind of text is that of one cell."""

    context: int = 16
    """tokens of a window"""
    agents: tuple[str, ...] = ()
    """names, null first; empty: null, those that the corpus has labels of, and influence"""
    twist: float = 0.5
    """standard deviation of the log worth of each kind of text about what its labels say, so that no agent knows it
    all"""
    turn: float = 0.0
    """0: text is worth the same throughout; 1: a kind of text is worth at the end of training the inverse of what it is
    worth at the start, so that no constant weights are good"""
    fitted: Path | None = None
    """the file that `pretraingym surrogate fit` wrote: its worth of text, curves and loss_sd take the place of those
    from the labels, and twist is ignored"""
    seed: int = 0
    """of the twist"""
    loss_sd: float = 0.014
    """nats, standard deviation of a task's loss between runs that draw different text"""
    influence_noise: float = 3.0
    """standard deviation of the noise in a window's influence, over the root mean square of the influence"""
    episode: EpisodeConfig = field(default_factory=lambda: CLOCK)

    def __post_init__(self) -> None:
        if not (self.twist >= 0 and 0 <= self.turn <= 1 and self.loss_sd >= 0 and self.influence_noise >= 0):
            raise InputError(
                f"surrogate has twist {self.twist}, turn {self.turn}, loss_sd {self.loss_sd}, influence_noise "
                f"{self.influence_noise}; expected none below 0, turn at most 1"
            )
        if self.fitted is not None and self.turn:
            raise InputError(f"turn is {self.turn} and a fitted surrogate was named, which does not turn: expected 0")

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The task of the built corpus in that folder; without one, of a synthetic one, built in a second on first
        use."""
        if corpus is not None:
            return self.task(Corpus.open(Path(corpus)))
        return self.task(synthetic_corpus())

    def task(self, corpus: Corpus) -> Task:
        """The task of `corpus`."""
        return Task(corpus, self.context, self.agents)

    def backend(self, task: Task, num_slots: int) -> Surrogate:
        """`num_slots` new runs on this task's windows."""
        kind_D, task_D = _of_documents(task)
        schedule = Schedule(self.episode.total_steps, warmup_steps=0)
        return Surrogate(self.dynamics(task), task.windows, kind_D, task_D, schedule, num_slots)

    def dynamics(self, task: Task) -> Dynamics:
        """What text is worth to each task: by the labels, with twist and turn, or as it was fitted. A token of natural
        text is worth 1 to every task. InputError: what was fitted is of other tasks or labels."""
        budget = float(self.episode.budget_tokens(self.context))
        if self.fitted is not None:
            return FittedDynamics.load(self.fitted).dynamics(task, budget, self.influence_noise)
        rng, natural_C = np.random.default_rng([self.seed, 0]), task.cells.natural_C
        log_CT = task.similarity_CT + self.twist * rng.standard_normal(task.similarity_CT.shape)
        early_CT = np.exp(log_CT) / (natural_C @ np.exp(log_CT))
        other_CT = np.exp(-log_CT)
        late_CT = (1 - self.turn) * early_CT + self.turn * other_CT / (natural_C @ other_CT)
        return Dynamics(early_CT, late_CT, budget, loss_sd=self.loss_sd, influence_noise=self.influence_noise)


def _of_documents(task: Task) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cell and the reference task of every document of the corpus, each (D,), 0 where it has none."""
    corpus = task.corpus
    kind_D, task_D = np.zeros((2, corpus.num_documents), np.intp)
    train = np.arange(corpus.splits["train"].start, corpus.splits["train"].stop)
    train = train[np.diff(corpus.token_offsets)[train] > 0]
    labels = np.stack([corpus.labels[name].column[train] for name in task.layout.columns], 1)
    tuples = np.concatenate([task.cells.labels_CA, labels])
    inverse = np.unique(tuples, axis=0, return_inverse=True)[1].reshape(-1)
    kind_D[train] = inverse[task.cells.num_cells :]  # the cells are the unique tuples, in the same order
    for index, name in enumerate(task.reference_tasks):
        for part in REFERENCE_PARTS:
            task_D[np.array(corpus.splits[reference_split(name, part)])] = index
    return kind_D, task_D
