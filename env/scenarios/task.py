"""A task: what all episodes on one corpus share, which is its windows, cells, agents, labels and reference tasks."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Corpus, reference_split
from ...lm.corpus.windows import Windows
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.keyed_random import Words, hash64
from ..agents.base import Agent, Layout
from ..agents.registry import default_agents, label_name, make_agents
from ..cells.builder import LabelledDocuments, build_cells
from ..cells.category_sums import category_sums
from ..cells.index import CellIndex
from ..cells.permutation import permute
from ..cells.store import stored_cells
from .scenario import Scenario
from .similarity import label_log_ratios
from .steering_text import SteeringText

IN_MEMORY = 2_000_000  # training documents; the cell index of more is kept on disk


@dataclass(frozen=True)
class ReferenceSample:
    """Windows of reference tasks for N runs. ids: (N, W); task: (N, W), index into the corpus's tasks; weight: (N, W),
    with which the weighted sum of the windows' losses estimates the scenario's mixture of task losses. For a sample in
    groups see `Task.sample_groups`."""

    ids: NDArray[np.int64]
    task: NDArray[np.intp]
    weight: NDArray[np.float64]


def task_means(loss_NW: NDArray[np.float64], task_NW: NDArray[np.intp], num_tasks: int) -> NDArray[np.float64]:
    """Mean loss of each run's windows of each task, (N, T); NaN where it has none."""
    count = category_sums(task_NW, np.ones_like(loss_NW), num_tasks)
    return np.where(count > 0, category_sums(task_NW, loss_NW, num_tasks) / np.maximum(count, 1), np.nan)


def group_means(values: NDArray[np.float64], group_task: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean over the groups of each task, (N, T, P); NaN where a task has none. values: (N, groups, P), where there are
    as many groups as tasks; group_task: (N, groups), the task of each group."""
    member = group_task[:, None] == np.arange(group_task.shape[1])[:, None]  # (N, tasks, groups)
    count_NT = member.sum(2)
    total = np.where(member[..., None], values[:, None], 0.0).sum(2)
    return np.where(count_NT[..., None] > 0, total / np.maximum(count_NT, 1)[..., None], np.nan)


@dataclass
class Task:
    """A labelled corpus, read in windows of `context` tokens, with the agents that `agents` names (default: those that
    need nothing more). The reference tasks whose loss counts are the corpus's.

    agent_names: K names, without settings; layout: the A label columns that the agents read, and the cells;
    reference_labels: (D, A), of the D validation documents of all reference tasks; reference_known: (K, D), whether
    the agent knows the document's category from training text; reference_share: (T, D), the share of each task's
    tokens that each of these documents has; reference_documents: how many of them each task has; prototypes: the
    agents, to be asked what they are like, not to be started."""

    corpus: Corpus
    context: int
    agents: tuple[str, ...] = ()
    windows: Windows = field(init=False)
    cells: CellIndex = field(init=False)
    prototypes: list[Agent] = field(init=False)
    _reference: dict[str, list[NDArray[np.int64]]] = field(init=False, default_factory=dict)  # window ids by part

    def __post_init__(self) -> None:
        self.agents = tuple(self.agents) or default_agents(self.corpus)
        self.agent_names = tuple(map(label_name, self.agents))
        self.prototypes = self.make_agents()
        columns = {agent.name: self.corpus.labels[agent.name] for agent in self.prototypes if agent.has_column}
        self.windows = Windows(self.corpus, self.context)
        self.cells = self._index(tuple(columns))
        self.layout = Layout(columns, self.cells.labels_CA)
        documents = [np.array(self.corpus.splits[reference_split(task, "validation")]) for task in self.reference_tasks]
        reference, offsets = np.concatenate(documents), self.corpus.token_offsets
        self.reference_labels = np.stack([labels.column[reference] for labels in columns.values()], 1)
        for shared in (self.reference_labels, self.cells.labels_CA):
            shared.setflags(write=False)  # all agents get the same ones
        self.reference_known = np.ones((len(self.agent_names), len(reference)), bool)
        for column, name in enumerate(columns):
            known = np.isin(self.reference_labels[:, column], self.cells.labels_CA[:, column])
            self.reference_known[self.agent_names.index(name)] = known
        self.reference_documents = [len(part) for part in documents]
        owner = np.repeat(np.arange(len(documents)), self.reference_documents)
        tokens = (owner == np.arange(len(documents))[:, None]) * (offsets[reference + 1] - offsets[reference])
        self.reference_share = tokens / tokens.sum(1, keepdims=True)

    def make_agents(self) -> list[Agent]:
        """New agents, in the order of `agent_names`, to be started."""
        return make_agents(self.agents, self.corpus)

    @property
    def reference_tasks(self) -> tuple[str, ...]:
        """The names of the corpus's reference tasks."""
        return self.corpus.reference_tasks

    def _index(self, columns: tuple[str, ...]) -> CellIndex:
        """The cell index of the training documents; that of a large corpus is built once, in the corpus's folder."""
        train, labels = self.corpus.splits["train"], {name: self.corpus.labels[name].column for name in columns}
        source = LabelledDocuments(self.corpus.token_offsets, self.context, train, labels)
        if len(train) <= IN_MEMORY:
            return build_cells(source)
        key = json.dumps([self.corpus.fingerprint, self.context, columns])
        return stored_cells(self.corpus.path / f"cells-{hashlib.sha256(key.encode()).hexdigest()[:16]}", source)

    @cached_property
    def similarity_CT(self) -> NDArray[np.float64]:
        """How similar each cell is to each reference task, by its labels: see `label_log_ratios`."""
        return label_log_ratios(self.cells.labels_CA, self.cells.natural_C, self.reference_labels, self.reference_share)

    def task_weights(self, scenario: Scenario) -> NDArray[np.float64]:
        """The scenario's weight of each of the corpus's reference tasks, (T,)."""
        weights = dict(scenario.reference)
        unknown = set(weights) - set(self.reference_tasks)
        if unknown:
            raise InputError(f"unknown reference task '{min(unknown)}'; {nearest(min(unknown), self.reference_tasks)}")
        return np.array([weights.get(task, 0.0) for task in self.reference_tasks])

    def sample_reference(self, weights_NT: NDArray[np.float64], count: int, part: str, key_N: Words) -> ReferenceSample:
        """`count` windows of the reference tasks for each run: as many of each task as its weight says, none twice
        while there are enough. part: "validation", for reward and influence, "trial", for a trial before a run, or
        "test", for reports alone. A run's windows depend on its weights and its key alone."""
        number_NT = _apportion(weights_NT, count)
        task_NW, ids_NW = self._draw_reference(number_NT, part, key_N, None)
        weight_NT = weights_NT / np.maximum(number_NT, 1) / weights_NT.sum(1, keepdims=True)
        return ReferenceSample(ids_NW, task_NW, np.take_along_axis(weight_NT, task_NW, 1))

    def fixed_sample(self, weights_T: NDArray[np.float64], count: int, part: str, num_runs: int = 1) -> ReferenceSample:
        """As `sample_reference`; every run gets the same windows, and at all times."""
        key_N: Words = hash64(np.zeros(num_runs, np.uint64))
        return self.sample_reference(np.tile(weights_T, (num_runs, 1)), count, part, key_N)

    def test_sample(self, count: int, num_runs: int = 1) -> ReferenceSample:
        """`count` windows of the test part of every reference task, the same for every run; for reports alone."""
        num_tasks = len(self.reference_tasks)
        return self.fixed_sample(np.full(num_tasks, 1 / num_tasks), count * num_tasks, "test", num_runs)

    def sample_groups(
        self, weights_NT: NDArray[np.float64], count: int, key_N: Words, steering: SteeringText | None = None
    ) -> ReferenceSample:
        """About `count` validation windows for each run, in as many groups as there are tasks, each of one task. ids:
        (N, groups, W); task and weight: (N, groups), with which the weighted sum of the groups' mean losses estimates
        the scenario's mixture of task losses. steering: the documents to take them from (default: all)."""
        num_runs, num_groups = weights_NT.shape
        number_NT, size = _apportion(weights_NT, num_groups), max(1, count // num_groups)
        task_NW, ids_NW = self._draw_reference(number_NT * size, "validation", key_N, steering)
        group_task = task_NW[:, ::size]
        weight_NT = weights_NT / np.maximum(number_NT, 1) / weights_NT.sum(1, keepdims=True)
        weight = np.take_along_axis(weight_NT, group_task, 1)
        return ReferenceSample(ids_NW.reshape(num_runs, num_groups, size), group_task, weight)

    def _draw_reference(
        self, number_NT: NDArray[np.intp], part: str, key_N: Words, steering: SteeringText | None
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Task and id (N, W) of `number_NT` windows of each task, task by task; these add up to W in every run."""
        windows, count = self._reference_windows(part), int(number_NT[0].sum())
        size_T = np.array([len(ids) for ids in windows])
        size_NT = np.tile(size_T, (len(number_NT), 1))
        start_NT = np.tile(np.cumsum(size_T) - size_T, (len(number_NT), 1))
        if steering is not None:
            windows = self._few_windows(windows, number_NT, steering, start_NT, size_NT)
        owner_T: Words = np.arange(len(size_T), dtype=np.uint64)

        def for_each_window(of_NT: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(of_NT.reshape(-1), number_NT.reshape(-1))

        # Of all windows of all runs, one after the other, (N * W,).
        task = for_each_window(np.tile(owner_T.astype(np.intp), len(number_NT)))
        turn = np.arange(len(task)) % count - for_each_window(np.cumsum(number_NT, 1) - number_NT)
        key = for_each_window(hash64(key_N[:, None] + owner_T))
        size = for_each_window(size_NT)
        member = permute(turn % size, size, key)
        ids = np.concatenate(windows)[for_each_window(start_NT) + member]
        shape = len(number_NT), count
        return task.reshape(shape), ids.reshape(shape)

    def _few_windows(
        self,
        windows: list[NDArray[np.int64]],
        number_NT: NDArray[np.intp],
        steering: SteeringText,
        start_NT: NDArray[np.intp],
        size_NT: NDArray[np.intp],
    ) -> list[NDArray[np.int64]]:
        """`windows` and, behind them, those of the runs that a few validation documents steer; where these
        begin and how many they are is entered in `start_NT` and `size_NT`."""
        windows, end = list(windows), sum(map(len, windows))
        for run, index in np.argwhere((steering.number_N > 0)[:, None] & (number_NT > 0)).tolist():
            documents = self.corpus.splits[reference_split(self.reference_tasks[index], "validation")]
            few = [
                self.windows.ids(documents[at : at + 1])
                for at in steering.documents(run, index, len(documents)).tolist()
            ]
            windows.append(np.concatenate(few))
            start_NT[run, index], size_NT[run, index] = end, len(windows[-1])
            end += len(windows[-1])
        return windows

    def _reference_windows(self, part: str) -> list[NDArray[np.int64]]:
        """The window ids of each task's documents of that part."""
        if part not in self._reference:
            self._reference[part] = [
                self.windows.ids(self.corpus.splits[reference_split(task, part)]) for task in self.reference_tasks
            ]
        return self._reference[part]


def _apportion(weights_NT: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Whole numbers near weights * count that sum to `count` in each run, at least 1 where the weight is positive."""
    quota = weights_NT * count
    number = np.maximum(np.floor(quota), weights_NT > 0).astype(np.intp)
    while len(short := np.flatnonzero(number.sum(1) < count)):
        number[short, np.argmax((quota - number)[short], 1)] += 1
    while len(over := np.flatnonzero(number.sum(1) > count)):
        number[over, np.argmin(np.where(number > 1, quota - number, np.inf)[over], 1)] -= 1
    return number
