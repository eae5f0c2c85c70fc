"""Pools of scenarios against counts."""

import numpy as np
import pytest

from pretraingym.env.cells.sampler import CellSampler
from pretraingym.env.scenarios.pool import JUNK, USEFUL, make_pool
from pretraingym.env.scenarios.scenario import Scenario
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.io.errors import InputError

PROSE = (("prose", 1.0),)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 16)


def test_without_a_wish_the_pool_is_the_corpus(task: Task) -> None:
    pool = make_pool(task, Scenario(PROSE, 3.0))
    np.testing.assert_array_equal(pool.natural_C, task.cells.natural_C)
    assert pool.most_tokens == task.cells.tokens_C.sum()


@pytest.mark.parametrize(("useful", "junk"), [(0.003, 0.0), (0.3, 0.6), (0.05, None), (None, 0.9)])
def test_useful_text_and_junk_have_their_shares(task: Task, useful: float | None, junk: float | None) -> None:
    pool = make_pool(task, Scenario(PROSE, 3.0, useful_share=useful, junk_share=junk))
    assert pool.natural_C.sum() == pytest.approx(1)
    similarity, natural = task.similarity_CT[:, task.reference_tasks.index("prose")], task.cells.natural_C
    order = np.argsort(-similarity, kind="stable")
    before = np.cumsum(natural[order]) - natural[order]
    top, bottom = order[before < USEFUL], order[before + natural[order] > 1 - JUNK]
    if useful is not None:
        assert pool.natural_C[top].sum() == pytest.approx(useful)
    if junk is not None:
        assert pool.natural_C[bottom].sum() == pytest.approx(junk)
    assert (pool.natural_C * pool.most_tokens <= task.cells.tokens_C * (1 + 1e-9)).all()
    assert (pool.natural_C * pool.most_tokens / task.cells.tokens_C).max() == pytest.approx(1)


def test_a_missing_domain_is_never_drawn(task: Task) -> None:
    names = task.layout.columns["domain"].names
    column = list(task.layout.columns).index("domain")
    gone = task.cells.labels_CA[:, column] == task.cells.labels_CA[0, column]
    scenario = Scenario(PROSE, 3.0, without=(("domain", names[task.cells.labels_CA[0, column]]),))
    pool = make_pool(task, scenario)
    assert not pool.natural_C[gone].any()
    assert (pool.natural_C[~gone] > 0).all()
    sampler = CellSampler(task.cells, 1)
    sampler.reset(0, 1, 1e9, pool.natural_C)
    assert not sampler.pool_NC[0, gone].any()
    assert (sampler.pool_NC[0, ~gone] == task.cells.windows_C[~gone]).all()
    sampler.draw(np.array([0]), sampler.natural_NC, 500, np.array([7], np.uint64))
    assert not sampler.used_NC[0, gone].any()


def test_bad_pools_are_refused(task: Task) -> None:
    for without, message in (
        ((("domian", "x"),), "scenario names label column 'domian'"),
        ((("domain", "moon"),), "scenario names category 'moon' of domain"),
        (tuple(("domain", name) for name in task.layout.columns["domain"].names), "which leaves nothing"),
    ):
        with pytest.raises(InputError, match=message):
            make_pool(task, Scenario(PROSE, 3.0, without=without))
    for fields in ({"useful_share": 0.6, "junk_share": 0.6}, {"useful_share": -0.1}):
        with pytest.raises(InputError, match="expected shares of one"):
            Scenario(PROSE, 3.0, **fields)
    with pytest.raises(InputError, match="lr_scale is 0"):
        Scenario(PROSE, 3.0, lr_scale=0)
