"""What an agent is: a scorer of documents, one data-selection method. It is not the actor of reinforcement learning.

An agent gives every document a category, and every category a priority. The console mixes the agents' priorities by a
vector of weights, which a policy moves.
"""

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
    """What was measured of N runs on a probe of P windows each. All arrays are read-only.

    labels: (N, P, A) uint16, the windows' labels; share: (N, P), the weight of each window with which weighted means
    estimate means over the tokens of the run's pool (rows sum to 1); loss: (N, P), nats per token; influence: (N, P),
    the inner product of the window's gradient and that of the reference loss, in units of its root mean square over the
    probe: positive where training on the window lowers the reference loss; reference_loss: (N,), nats per token;
    epochs: (N, C), how often each cell has been used. The influence of a run without a usable probe is all NaN."""

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
        """The runs whose probe can be learned from, (N,)."""
        return np.logical_and.reduce(np.isfinite(self.influence), axis=1)


@dataclass(frozen=True)
class Layout:
    """What an agent is told before an episode. columns: the A label columns in order, by their agents' names; cells:
    (C, A) uint16, the labels of each cell."""

    columns: dict[str, Labels]
    cells: NDArray[np.uint16]


@dataclass(frozen=True)
class Relabelling:
    """What an agent is told when its runs go on with a changed corpus. before: by label column, the number that each
    category had before, -1 where it is new; counts: how many categories the column had; epochs: (N, C), how often each
    cell of the new corpus has been used."""

    before: dict[str, NDArray[np.intp]]
    counts: dict[str, int]
    epochs: Array


class Agent(ABC):
    """One data-selection method. Before any training, an agent with a label column gives every document of the corpus a
    category (see LabelAgent). Later `start` puts a new agent of the same class to work in N runs at once: `score` gives
    its priorities, `update` changes them. That agent was never fitted and knows the labels alone.

    name: its name, and that of its label column; moves: whether feedback changes its priorities (if not, it is static);
    weighted: whether it has a weight (if not, policies only observe it); has_column: whether it needs labels."""

    name: str
    moves: bool = False
    weighted: bool = True
    has_column: bool = False

    @abstractmethod
    def start(self, num_slots: int, layout: Layout) -> None:
        """Begin N = `num_slots` runs, from none of which it has learned yet."""

    @abstractmethod
    def score(self, labels: NDArray[np.uint16]) -> Array:
        """Priorities in each run of M cells or documents with these labels, (M, A) -> (N, M). In any unit, from any
        origin; NaN where the agent cannot tell."""

    def score_cells(self, cells_CA: NDArray[np.uint16]) -> Array:
        """Priorities of the cells -> (N, C), finite."""
        return self.score(cells_CA)

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what was learned from the runs in `slots`."""

    def update(self, feedback: Feedback) -> None:
        """Learn from one probe of all N runs."""

    def state_dict(self) -> dict[str, NDArray]:
        """All that `update` changes, as arrays whose first axis is N."""
        return {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Go on exactly from what `state_dict` gave."""

    def carried_over(self, state: dict[str, NDArray], labels: Relabelling) -> dict[str, NDArray]:
        """A state of before the corpus changed, for `load_state_dict` now. InputError: it cannot be carried over."""
        same = all(np.array_equal(numbers, np.arange(labels.counts[name])) for name, numbers in labels.before.items())
        if state and not same:
            raise InputError(f"agent '{self.name}' has learned of other categories, expected the same: keep the labels")
        return state


class LabelAgent(Agent):
    """An agent with a label column: it gives each of its categories a priority.

    The priorities of a static agent are the values of its categories. If `moves`, they start at 0 and follow the memory
    of arXiv 2410.08102 eq. 4: w_j <- (1 - eta) w_j + eta R_j, R_j the mean influence of the probe windows in category j
    (the moving average of the text; the released code applies it once a sample). Departures: influence is in units of
    its root mean square over the probe, a category without a probe window keeps its priority, and the start is 0 and
    not the result of 512 proxy runs. The paper does not print `eta`; its code has .1 for four updates, here it is .3
    (assumed: about ten updates a run).

    To write an agent, give a name and `measure`: what it measures is cut into bins, each with a fifth of the text."""

    has_column = True
    eta: float = 0.3
    shares: tuple[float, ...] = QUINTILES  # the share of the text below each cut between two categories
    uses_all_cores: bool = False  # True: `measure` is called in the main process, not in one process a core

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        """Learn what `measure` needs, before anything is measured. Draw all random numbers from `rng`."""

    def measure(self, batch: TextBatch) -> Array:
        """One number for each of the batch's D documents, (D,). It must not depend on the other documents in it."""
        raise InputError(f"agent '{self.name}' cannot label text: its labels come with the corpus, as a column")

    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        """Make categories of what was measured of all D documents of the corpus."""
        return quantile_bins(measured_D, documents.sizes, documents.train, self.shares)

    def start(self, num_slots: int, layout: Layout) -> None:
        labels = layout.columns[self.name]
        self.column = list(layout.columns).index(self.name)
        if self.moves:
            self.priority = np.zeros((num_slots, len(labels.names)))  # of each run and category
            return
        if labels.values is None or not np.isfinite(labels.values).all():
            raise InputError(
                f"agent '{self.name}' is static but its categories have no finite values: label the corpus anew"
            )
        self.priority = np.tile(np.asarray(labels.values, np.float64), (num_slots, 1))

    def score(self, labels: NDArray[np.uint16]) -> Array:
        return self.priority[:, labels[:, self.column]]

    def reset(self, slots: NDArray[np.intp]) -> None:
        if self.moves:
            self.priority[slots] = 0

    def update(self, feedback: Feedback) -> None:
        if not self.moves:
            return
        label_NP, num_categories = feedback.labels[:, :, self.column], self.priority.shape[1]
        total = category_sums(label_NP, feedback.share, num_categories)
        influence = feedback.share * np.nan_to_num(feedback.influence)
        mean = category_sums(label_NP, influence, num_categories) / np.maximum(total, 1e-12)
        moved = (1 - self.eta) * self.priority + self.eta * mean
        self.priority = np.where((total > 0) & feedback.usable[:, None], moved, self.priority)

    def state_dict(self) -> dict[str, NDArray]:
        return {"memory": self.priority.copy()} if self.moves else {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        if self.moves:
            self.priority = state["memory"].copy()

    def carried_over(self, state: dict[str, NDArray], labels: Relabelling) -> dict[str, NDArray]:
        return {name: by_category(value, labels.before[self.name], 1) for name, value in state.items()}


def by_category(values: NDArray, before: NDArray[np.intp], axis: int) -> NDArray:
    """Values whose `axis` is of categories, of those that had the numbers `before`; 0 where one is new."""
    shape = [1] * values.ndim
    shape[axis] = len(before)
    return np.take(values, np.maximum(before, 0), axis) * (before >= 0).reshape(shape)
