"""What all episodes on one corpus share: its windows, cells, labels and reference tasks."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Corpus
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

IN_MEMORY = 2_000_000  # documents: the index of more is kept on disk


@dataclass(frozen=True)
class ReferenceSample:
    """Windows of reference tasks for N runs: ids (N, V), task (N, V) as index into the corpus's tasks, and weight
    (N, V) so that the weighted sum of window losses estimates the scenario's mixture of task losses."""

    ids: NDArray[np.int64]
    task: NDArray[np.intp]
    weight: NDArray[np.float64]


def task_means(loss_NV: NDArray[np.float64], task_NV: NDArray[np.intp], num_tasks: int) -> NDArray[np.float64]:
    """Mean loss of each run's windows of each task, (N, T); NaN where it has none."""
    count = category_sums(task_NV, np.ones_like(loss_NV), num_tasks)
    return np.where(count > 0, category_sums(task_NV, loss_NV, num_tasks) / np.maximum(count, 1), np.nan)


def group_means(alone_NGS: NDArray[np.float64], task_NG: NDArray[np.intp]) -> NDArray[np.float64]:
    """Mean over the groups of each task (as many as groups) -> (N, T, S); NaN where it has none."""
    member_NTG = task_NG[:, None] == np.arange(task_NG.shape[1])[:, None]
    count_NT = member_NTG.sum(2)
    total_NTS = np.where(member_NTG[..., None], alone_NGS[:, None], 0.0).sum(2)
    return np.where(count_NT[..., None] > 0, total_NTS / np.maximum(count_NT, 1)[..., None], np.nan)


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
    prototypes: list[Agent] = field(init=False)
    _reference: dict[str, list[NDArray[np.int64]]] = field(init=False, default_factory=dict)  # window ids by half

    def __post_init__(self) -> None:
        self.agents = tuple(self.agents) or default_agents(self.corpus)
        self.agent_names = tuple(map(label_name, self.agents))
        self.prototypes = self.make_agents()  # which tell what kind of agents there are, and are not put to work
        columns = {agent.name: self.corpus.labels[agent.name] for agent in self.prototypes if agent.has_column}
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

    @cached_property
    def similarity_CT(self) -> NDArray[np.float64]:
        """How like each reference task a cell is, by its labels: see `label_log_ratios`."""
        return label_log_ratios(self.cells.labels_CA, self.cells.natural_C, self.reference_labels, self.reference_share)

    def task_weights(self, scenario: Scenario) -> NDArray[np.float64]:
        """The scenario's weight of each of the corpus's reference tasks, (T,)."""
        weights = dict(scenario.reference)
        unknown = set(weights) - set(self.tasks)
        if unknown:
            raise InputError(f"unknown reference task '{min(unknown)}'; {nearest(min(unknown), self.tasks)}")
        return np.array([weights.get(task, 0.0) for task in self.tasks])

    def sample_reference(self, weights_NT: NDArray[np.float64], count: int, half: str, key_N: Words) -> ReferenceSample:
        """`count` windows of the reference tasks for each run, as many of each as its weight says, none twice while
        there are enough; half: "validation" feeds reward and influence, "test" is for reports alone. A run's windows
        follow from its key."""
        number_NT = _apportion(weights_NT, count)
        task_NV, ids_NV = self._draw_reference(number_NT, half, key_N)
        weight_NT = weights_NT / np.maximum(number_NT, 1) / weights_NT.sum(1, keepdims=True)
        return ReferenceSample(ids_NV, task_NV, np.take_along_axis(weight_NT, task_NV, 1))

    def sample_groups(self, weights_NT: NDArray[np.float64], count: int, key_N: Words) -> ReferenceSample:
        """About `count` validation windows of each run in T groups of one task each: ids (N, T, V); task and weight
        (N, T): that of a group, so that the weighted sum of the groups' means estimates the mixture of task losses."""
        num_runs, num_groups = weights_NT.shape
        number_NT, size = _apportion(weights_NT, num_groups), max(1, count // num_groups)
        task_NV, ids_NV = self._draw_reference(number_NT * size, "validation", key_N)
        task_NG = task_NV[:, ::size]
        weight_NT = weights_NT / np.maximum(number_NT, 1) / weights_NT.sum(1, keepdims=True)
        weight_NG = np.take_along_axis(weight_NT, task_NG, 1)
        return ReferenceSample(ids_NV.reshape(num_runs, num_groups, size), task_NG, weight_NG)

    def _draw_reference(
        self, number_NT: NDArray[np.intp], half: str, key_N: Words
    ) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Task (N, V) and id (N, V) of so many windows of each task, task by task; all runs have V in all."""
        windows, count = self._reference_windows(half), int(number_NT[0].sum())
        size_T = np.array([len(ids) for ids in windows])
        owner_T: Words = np.arange(len(windows), dtype=np.uint64)

        def for_each_window(of_NT: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(of_NT.reshape(-1), number_NT.reshape(-1))

        task_M = for_each_window(np.tile(owner_T.astype(np.intp), len(number_NT)))
        turn_M = np.arange(len(task_M)) % count - for_each_window(np.cumsum(number_NT, 1) - number_NT)
        key_M = for_each_window(hash64(key_N[:, None] + owner_T))
        member_M = permute(turn_M % size_T[task_M], size_T[task_M], key_M)
        ids_M = np.concatenate(windows)[(np.cumsum(size_T) - size_T)[task_M] + member_M]
        shape = len(number_NT), count
        return task_M.reshape(shape), ids_M.reshape(shape)

    def _reference_windows(self, half: str) -> list[NDArray[np.int64]]:
        if half not in self._reference:
            self._reference[half] = [self.windows.ids(self.corpus.splits[f"{task}/{half}"]) for task in self.tasks]
        return self._reference[half]


def _apportion(weights_NT: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Whole numbers near weights * count, each run's of which sum to `count`, at least 1 for each positive weight."""
    quota = weights_NT * count
    number = np.maximum(np.floor(quota), weights_NT > 0).astype(np.intp)
    while len(short := np.flatnonzero(number.sum(1) < count)):
        number[short, np.argmax((quota - number)[short], 1)] += 1
    while len(over := np.flatnonzero(number.sum(1) > count)):
        number[over, np.argmin(np.where(number > 1, quota - number, np.inf)[over], 1)] -= 1
    return number
