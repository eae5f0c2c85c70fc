"""The pool of a scenario: how much of each cell a run may draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.ingest.held_out import default_tasks
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from .scenario import Scenario
from .task import Task

USEFUL, JUNK = 0.1, 0.3  # of the corpus's tokens: the cells most and least similar to the reference tasks (assumed)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """natural_C: each cell's share of the pool's tokens, and of what natural draws; most_tokens: the largest size
    of a pool with these shares, as no cell can hold more than the corpus has of it."""

    natural_C: Array
    most_tokens: float


def make_pool(task: Task, scenario: Scenario) -> Pool:
    """The pool that `scenario` asks for. InputError: it names unknown categories, or leaves no text."""
    tokens_C = task.cells.tokens_C
    if scenario.without:
        tokens_C = np.where(_removed(task, scenario), 0.0, tokens_C)
        if not tokens_C.any():
            raise InputError(f"scenario takes {scenario.without} out of the pool, which leaves nothing: take out less")
    if scenario.useful_share is None and scenario.junk_share is None:
        return Pool(tokens_C / tokens_C.sum(), float(tokens_C.sum()))
    kind_C = _kinds(tokens_C, np.exp(task.similarity_CT) @ task.task_weights(scenario))
    tokens = np.bincount(kind_C, tokens_C, 3)  # of the three kinds: useful, between, junk
    share = tokens / tokens.sum()
    asked = np.array([np.nan if x is None else x for x in (scenario.useful_share, None, scenario.junk_share)])
    given = np.isfinite(asked)
    share[given] = np.where(tokens > 0, asked, 0.0)[given]
    share[~given] *= (1 - share[given].sum()) / max(share[~given].sum(), 1e-12)
    share /= share.sum()
    factor = share / np.maximum(tokens, 1e-12)
    return Pool(tokens_C * factor[kind_C], float(1 / factor.max()))


def _kinds(tokens_C: Array, similarity_C: Array) -> NDArray[np.intp]:
    """The kind of each cell. 0, useful: those most similar to the reference tasks, up to the first with which they have
    USEFUL of the tokens; 2, junk: the least similar ones, back to the first with which they have JUNK; 1: between."""
    order = np.argsort(-similarity_C, kind="stable")
    end = np.cumsum(tokens_C[order])
    kind_C = np.ones(len(order), np.intp)
    kind_C[order[end > (1 - JUNK) * end[-1]]] = 2
    kind_C[order[end - tokens_C[order] < USEFUL * end[-1]]] = 0
    return kind_C


def _removed(task: Task, scenario: Scenario) -> NDArray[np.bool_]:
    """Which cells the scenario takes out of the pool, (C,)."""
    removed_C = np.zeros(task.cells.num_cells, bool)
    columns = list(task.layout.columns)
    for column, category in scenario.without:
        if column not in columns:
            raise InputError(f"scenario names label column '{column}'; {nearest(column, columns)}")
        names = list(task.layout.columns[column].names)
        if category not in names:
            raise InputError(f"scenario names category '{category}' of {column}; {nearest(category, names)}")
        removed_C |= task.cells.labels_CA[:, columns.index(column)] == names.index(category)
    return removed_C


def check_reference_weights(reference: dict[str, float], tasks: tuple[str, ...]) -> None:
    """InputError: a task that the corpus does not have, or weights that are negative, not finite or all 0."""
    for task in reference:
        if task not in tasks:
            raise InputError(f"unknown reference task '{task}'; {nearest(task, tasks)}")
    if reference and not (min(reference.values()) >= 0 and 0 < sum(reference.values()) < float("inf")):
        raise InputError(f"reference weights are {reference}, expected numbers from 0 up, not all of them 0")


def whole_corpus_scenario(task: Task, budget_tokens: int, reference: dict[str, float]) -> Scenario:
    """The scenario of a real run of `budget_tokens`: the whole corpus as the pool. reference: the user's weight of each
    reference task (empty: all of `default_tasks` the same, but for practice tasks, if there are others). InputError: as
    check_reference_weights."""
    check_reference_weights(reference, task.reference_tasks)
    pool = float(task.cells.tokens_C.sum()) / budget_tokens
    tasks = default_tasks(task.reference_tasks)
    own = [name for name in tasks if name not in task.corpus.practice]
    return Scenario(as_reference(reference or dict.fromkeys(own or tasks, 1.0)), pool)


def as_reference(weights: dict[str, float]) -> tuple[tuple[str, float], ...]:
    """Weights of reference tasks as a scenario has them: they sum to 1."""
    total = sum(weights.values())
    return tuple((name, weight / total) for name, weight in weights.items())
