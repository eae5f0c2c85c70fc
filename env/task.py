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
from .agents.base import Agent, Layout
from .agents.registry import default_agents, label_name, make_agents
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
    """A labelled corpus read in windows of `context` tokens, with the agents that `agents` names (default: those that
    need nothing more). agent_names: K names, without settings; layout: the A label columns they read, and the cells;
    reference_labels: (R, A) labels of all validation documents; reference_known: (K, R) whether the agent knows that
    category from training text; reference_share: (T, R) each task's share of its tokens in each of them."""

    corpus: Corpus
    context: int
    agents: tuple[str, ...] = ()
    windows: Windows = field(init=False)
    cells: CellIndex = field(init=False)
    _reference: dict[str, NDArray[np.int64]] = field(init=False, default_factory=dict)  # window ids by split

    def __post_init__(self) -> None:
        self.agents = tuple(self.agents) or default_agents(self.corpus)
        self.agent_names = tuple(map(label_name, self.agents))
        columns = {agent.name: self.corpus.labels[agent.name] for agent in self.make_agents() if agent.has_column}
        self.windows = Windows(self.corpus, self.context)
        self.cells = self._index(tuple(columns))
        self.layout = Layout(columns, self.cells.labels_CA)
        documents = [np.array(self.corpus.splits[f"{task}/validation"]) for task in self.tasks]
        reference, offsets = np.concatenate(documents), self.corpus.token_offsets
        self.reference_labels = np.stack([labels.column[reference] for labels in columns.values()], 1)
        for shared in (self.reference_labels, self.cells.labels_CA):
            shared.setflags(write=False)  # all agents get the same ones
        self.reference_known = np.ones((len(self.agent_names), len(reference)), bool)
        for column, name in enumerate(columns):
            known = np.isin(self.reference_labels[:, column], self.cells.labels_CA[:, column])
            self.reference_known[self.agent_names.index(name)] = known
        owner = np.repeat(np.arange(len(documents)), [len(part) for part in documents])
        tokens = (owner == np.arange(len(documents))[:, None]) * (offsets[reference + 1] - offsets[reference])
        self.reference_share = tokens / tokens.sum(1, keepdims=True)

    def make_agents(self) -> list[Agent]:
        """Fresh agents, in the order of `agent_names`; `start` puts them to work."""
        return make_agents(self.agents, self.corpus)

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
            pool = self._reference_windows(f"{task}/{half}")
            ids.append(np.resize(rng.permutation(pool), wanted))
            owner.append(np.full(wanted, index))
            weight.append(np.full(wanted, weights_T[index] / max(wanted, 1)))
        total = np.concatenate(weight)
        return ReferenceSample(np.concatenate(ids), np.concatenate(owner), total / total.sum())

    def _reference_windows(self, split: str) -> NDArray[np.int64]:
        if split not in self._reference:
            self._reference[split] = self.windows.ids(self.corpus.splits[split])
        return self._reference[split]


def _apportion(weights_T: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Whole numbers near weights * count that sum to `count`, at least 1 for each positive weight."""
    quota = weights_T * count
    number = np.maximum(np.floor(quota), weights_T > 0).astype(np.intp)
    while number.sum() < count:
        number[np.argmax(quota - number)] += 1
    while number.sum() > count:
        number[np.argmin(np.where(number > 1, quota - number, np.inf))] -= 1
    return number
