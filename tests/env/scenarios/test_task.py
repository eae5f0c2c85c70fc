"""Samples of the reference tasks, counted."""

import numpy as np
import pytest

from pretraingym.env.scenarios.task import Task, task_means
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.keyed_random import hash64

PROSE_SHARES = np.array([1.0, 0.3, 0.3, 0.01])  # of four runs, the rest being code
KEYS_N = hash64(np.array([1, 2, 2, 3], np.uint64))


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 16)


def mixtures(task: Task, prose_shares: np.ndarray = PROSE_SHARES) -> np.ndarray:
    """The runs' weights of the tasks, (N, T)."""
    share = {"prose": prose_shares, "code": 1 - prose_shares}
    return np.stack([share[name] for name in task.reference_tasks], 1)


def test_as_many_windows_of_each_task_as_its_weight_says(task: Task) -> None:
    sample = task.sample_reference(mixtures(task), 20, "validation", KEYS_N)
    assert (sample.task == task.reference_tasks.index("code")).sum(1).tolist() == [0, 14, 14, 19]
    for index, name in enumerate(task.reference_tasks):
        there = np.isin(task.windows.document(sample.ids), np.array(task.corpus.splits[f"{name}/validation"]))
        np.testing.assert_array_equal(there, sample.task == index, err_msg=name)
        weight_N = np.where(sample.task == index, sample.weight, 0).sum(1)
        np.testing.assert_allclose(weight_N, mixtures(task)[:, index], err_msg=name)


def test_a_sample_follows_from_its_key_alone(task: Task) -> None:
    weights_NT = mixtures(task)
    sample = task.sample_reference(weights_NT, 20, "validation", KEYS_N)
    np.testing.assert_array_equal(sample.ids[1], sample.ids[2])
    alone = task.sample_reference(weights_NT[2:3], 20, "validation", KEYS_N[2:3])
    np.testing.assert_array_equal(alone.ids[0], sample.ids[2])
    other = task.sample_reference(weights_NT[2:3], 20, "validation", KEYS_N[3:])
    assert len(np.intersect1d(other.ids, alone.ids)) < 10


def test_no_window_twice_while_there_are_enough(task: Task) -> None:
    pool = task.windows.ids(task.corpus.splits["prose/test"])
    prose = mixtures(task, np.ones(1))
    ids = task.sample_reference(prose, len(pool), "test", KEYS_N[:1]).ids[0]
    np.testing.assert_array_equal(np.sort(ids), pool)
    ids = task.sample_reference(prose, 2 * len(pool) + 3, "test", KEYS_N[:1]).ids[0]
    times = np.unique(ids, return_counts=True)[1]
    assert (times.min(), times.max(), (times == 3).sum()) == (2, 3, 3)


def test_means_of_tasks() -> None:
    loss, owner = np.array([[1.0, 3.0, 8.0], [1.0, 2.0, 3.0]]), np.array([[0, 0, 2], [1, 1, 1]])
    np.testing.assert_array_equal(task_means(loss, owner, 3), [[2.0, np.nan, 8.0], [np.nan, 2.0, np.nan]])
