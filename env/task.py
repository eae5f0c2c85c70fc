"""What all episodes on one corpus share: its windows, cells, labels and reference tasks."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..lm.corpus import Corpus
from ..lm.errors import InputError
from ..lm.files import nearest
from ..lm.windows import Windows
from .agents.registry import check_names, known_agents, label_columns
from .cell_builder import LabelledDocuments, build_cells
from .cell_store import stored_cells
from .cells import CellIndex
from .scenario import Scenario

IN_MEMORY = 2_000_000  # documents: the index of more is kept on disk


@dataclass(frozen=True)
class ReferenceSample:
    """Windows of reference tasks for one run: ids (V,), task (V,) as index into the corpus's tasks, and weight (V,)
    so that the weighted sum of window losses estimates the scenario's mixture of task losses."""

    ids: NDArray[np.int64]
    task: NDArray[np.intp]
    weight: NDArray[np.float64]


@dataclass
class Task:
    """A labelled corpus read in windows of `context` tokens, with the agents `agent_names` (default: all it can have).
    reference_labels: (R, A) labels of all validation documents; reference_share: (T, R) each task's share of its
    tokens in each of them."""

    corpus: Corpus
    context: int
    agent_names: tuple[str, ...] = ()
    windows: Windows = field(init=False)
    cells: CellIndex = field(init=False)

    def __post_init__(self) -> None:
        self.agent_names = tuple(self.agent_names) or known_agents(self.corpus)
        check_names(self.agent_names, self.corpus)
        columns = label_columns(self.agent_names, self.corpus)
        self.windows = Windows(self.corpus, self.context)
        self.cells = self._index(columns)
        documents = [np.array(self.corpus.splits[f"{task}/validation"]) for task in self.tasks]
        reference, offsets = np.concatenate(documents), self.corpus.token_offsets
        self.reference_labels = np.stack([self.corpus.labels[column].column[reference] for column in columns], 1)
        owner = np.repeat(np.arange(len(documents)), [len(part) for part in documents])
        tokens = (owner == np.arange(len(documents))[:, None]) * (offsets[reference + 1] - offsets[reference])
        self.reference_share = tokens / tokens.sum(1, keepdims=True)

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.corpus.reference_tasks

    def _index(self, columns: tuple[str, ...]) -> CellIndex:
        """The index of the training documents; that of a large corpus lies in a folder of the corpus, built once."""
        train, labels = self.corpus.splits["train"], {name: self.corpus.labels[name].column for name in columns}
        source = LabelledDocuments(self.corpus.token_offsets, self.context, train, labels)
        if len(train) <= IN_MEMORY:
            return build_cells(source)
        key = json.dumps([self.corpus.fingerprint, self.context, columns])
        return stored_cells(self.corpus.path / f"cells-{hashlib.sha256(key.encode()).hexdigest()[:16]}", source)

    def task_weights(self, scenario: Scenario) -> NDArray[np.float64]:
        """The scenario's weight of each of the corpus's reference tasks, (T,)."""
        weights = dict(scenario.reference)
        unknown = set(weights) - set(self.tasks)
        if unknown:
            raise InputError(f"unknown reference task '{min(unknown)}'; {nearest(min(unknown), self.tasks)}")
        return np.array([weights.get(task, 0.0) for task in self.tasks])

    def sample_reference(
        self, weights_T: NDArray[np.float64], count: int, half: str, rng: np.random.Generator
    ) -> ReferenceSample:
        """`count` windows of the reference tasks, as many of each as its weight says, none twice while there are
        enough; half: "validation" feeds reward and influence, "test" is for reports alone."""
        number = _apportion(weights_T, count)
        ids, owner, weight = [], [], []
        for index, (task, wanted) in enumerate(zip(self.tasks, number, strict=True)):
            pool = self.windows.ids(self.corpus.splits[f"{task}/{half}"])
            ids.append(np.resize(rng.permutation(pool), wanted))
            owner.append(np.full(wanted, index))
            weight.append(np.full(wanted, weights_T[index] / max(wanted, 1)))
        total = np.concatenate(weight)
        return ReferenceSample(np.concatenate(ids), np.concatenate(owner), total / total.sum())


def _apportion(weights_T: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Whole numbers near weights * count that sum to `count`, at least 1 for each positive weight."""
    quota = weights_T * count
    number = np.maximum(np.floor(quota), weights_T > 0).astype(np.intp)
    while number.sum() < count:
        number[np.argmax(quota - number)] += 1
    while number.sum() > count:
        number[np.argmin(np.where(number > 1, quota - number, np.inf))] -= 1
    return number
