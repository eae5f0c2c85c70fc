"""What an agent is: it labels every document with one of its categories and gives each category a priority."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.bins import QUINTILES, quantile_bins
from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ..cells.category_sums import category_sums
from ..text.corpus_text import CorpusText, TextBatch

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feedback:
    """What a probe of P windows told about N runs; every array is read-only. labels: (N, P, A) uint16, one label column
    an agent that labels; share: (N, P) weight of each probe window so that weighted means estimate means over the
    corpus's tokens (rows sum to 1); loss: (N, P) nats per token; influence: (N, P) gradient inner product with the
    reference loss's gradient in units of its root mean square over the probe, positive = training on it lowers the
    reference loss; reference_loss: (N,) nats per token; epochs: (N, C) how often each cell has been used. A run without
    a usable probe has NaN influence in all P."""

    labels: NDArray[np.uint16]
    share: Array
    loss: Array
    influence: Array
    reference_loss: Array
    epochs: Array

    def __post_init__(self) -> None:
        for array in vars(self).values():
            array.setflags(write=False)  # all agents get the same arrays

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(N,) the runs whose probe can be learned from."""
        return np.logical_and.reduce(np.isfinite(self.influence), axis=1)


@dataclass(frozen=True)
class Layout:
    """What an agent is told before an episode: columns: the label columns in order, by agent's name; cells: (C, A)
    uint16, the label tuple of each cell."""

    columns: dict[str, Labels]
    cells: NDArray[np.uint16]


class Agent(ABC):
    """One data-selection method. Offline, once a corpus, an agent with a label column gives every document a category
    (LabelAgent). Then `start` puts it to work in N runs at once: `score` tells its priorities, `update` moves them.
    The agent of a run is a new one: it was not fitted, and knows the labels alone.

    name: also that of its label column; moves: whether feedback moves it; weighted: whether it has a weight of its own
    (if not, it is a row of the observation alone); has_column: whether it needs a label column."""

    name: str
    moves: bool = False
    weighted: bool = True
    has_column: bool = False

    @abstractmethod
    def start(self, num_slots: int, layout: Layout) -> None:
        """Begin with N = `num_slots` runs, none of which has taught it anything."""

    @abstractmethod
    def score(self, labels_MA: NDArray[np.uint16]) -> Array:
        """Priorities of M things that carry labels (M, A), for each run -> (N, M). Any unit and origin; NaN where the
        agent cannot tell."""

    def score_cells(self, cells_CA: NDArray[np.uint16]) -> Array:
        """Priorities of the cells -> (N, C), finite."""
        return self.score(cells_CA)

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what the runs `slots` taught."""

    def update(self, feedback: Feedback) -> None:
        """Learn from one probe of all N runs."""

    def state_dict(self) -> dict[str, NDArray]:
        """Arrays with leading axis N that `load_state_dict` restores exactly."""
        return {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""


class LabelAgent(Agent):
    """An agent with a label column, which prioritises its categories.

    Static, its priorities are the values of its categories. Moved (`moves`), they follow the paper's memory, arXiv
    2410.08102 eq. 4: w_j <- (1 - eta) w_j + eta R_j, R_j the mean influence of the probe windows in category j (the
    text's moving average; the released code applies it once a sample). Departures: influence comes in units of its root
    mean square over the probe, a category that the probe missed keeps its priority, and all start at zero instead of at
    the result of 512 proxy runs. `eta` is not printed in the paper; its code has .1 for four updates, here it is .3
    (assumed: about ten updates a run).

    A new one needs a name and `measure`; its scores are cut into bins that hold a fifth of the text each."""

    has_column = True
    eta: float = 0.3
    shares: tuple[float, ...] = QUINTILES  # of the text below each cut between categories
    uses_all_cores: bool = False  # True: `measure` is called in the main process, not in one a core

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        """Learn, before anything is labelled, what `measure` needs. `rng`: all randomness comes from it."""

    def measure(self, batch: TextBatch) -> Array:
        """One number a document of the batch -> (B,). The same for a document whatever batch it is in."""
        raise InputError(f"agent '{self.name}' cannot label text: its labels come with the corpus, as a column")

    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        """Make categories of what was measured of all D documents."""
        return quantile_bins(measured_D, documents.sizes, documents.train, self.shares)

    def start(self, num_slots: int, layout: Layout) -> None:
        labels = layout.columns[self.name]
        self.column = list(layout.columns).index(self.name)
        if self.moves:
            self.priority_NC = np.zeros((num_slots, len(labels.names)))
            return
        if labels.values is None or not np.isfinite(labels.values).all():
            raise InputError(
                f"agent '{self.name}' is static but its categories have no finite values: label the corpus anew"
            )
        self.priority_NC = np.tile(np.asarray(labels.values, np.float64), (num_slots, 1))

    def score(self, labels_MA: NDArray[np.uint16]) -> Array:
        return self.priority_NC[:, labels_MA[:, self.column]]

    def reset(self, slots: NDArray[np.intp]) -> None:
        if self.moves:
            self.priority_NC[slots] = 0

    def update(self, feedback: Feedback) -> None:
        if not self.moves:
            return
        label_NP, num_categories = feedback.labels[:, :, self.column], self.priority_NC.shape[1]
        total = category_sums(label_NP, feedback.share, num_categories)
        influence = feedback.share * np.nan_to_num(feedback.influence)
        mean = category_sums(label_NP, influence, num_categories) / np.maximum(total, 1e-12)
        moved = (1 - self.eta) * self.priority_NC + self.eta * mean
        self.priority_NC = np.where((total > 0) & feedback.usable[:, None], moved, self.priority_NC)

    def state_dict(self) -> dict[str, NDArray]:
        return {"memory": self.priority_NC.copy()} if self.moves else {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        if self.moves:
            self.priority_NC = state["memory"].copy()
