"""Cells and draws against counting by hand: what is in a cell, in which proportions and how often it is drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pretraingym.env import cells as cells_module
from pretraingym.env.cells import CellDraws, CellIndex
from pretraingym.lm.corpus import Corpus
from pretraingym.lm.errors import InputError
from pretraingym.lm.windows import Windows

NAMES = ("domain", "topic")


@pytest.fixture(scope="module")
def index(tiny_corpus: Corpus) -> CellIndex:
    train = tiny_corpus.splits["train"]
    labels = np.stack([tiny_corpus.labels[name].column[train.start : train.stop] for name in NAMES], 1)
    return CellIndex(Windows(tiny_corpus, 32), train, labels, NAMES)


def labels_of(corpus: Corpus, ids: np.ndarray) -> np.ndarray:
    documents = Windows(corpus, 32).document(ids)
    return np.stack([corpus.labels[name].column[documents] for name in NAMES], 1)


def test_cells_hold_the_windows_of_their_labels(tiny_corpus: Corpus, index: CellIndex) -> None:
    for cell in range(index.num_cells):
        count = index.windows_C[cell]
        ids = index.window_ids(np.full(count, cell), np.arange(count))
        assert len(set(ids)) == count
        assert (labels_of(tiny_corpus, ids) == index.labels_CA[cell]).all()
        assert Windows(tiny_corpus, 32).lengths(ids).sum() == index.tokens_C[cell]
    assert index.windows_C.sum() == len(Windows(tiny_corpus, 32).ids(tiny_corpus.splits["train"]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), pool=st.floats(0.01, 1.0))
def test_no_window_twice_before_the_cell_is_used_up(index: CellIndex, seed: int, pool: float) -> None:
    draws = CellDraws(index, 1)
    draws.reset(0, seed, pool * index.tokens_C.sum())
    share = np.zeros(index.num_cells)
    share[seed % index.num_cells] = 1.0
    size = int(draws.pool_NC[0, seed % index.num_cells])
    rng = np.random.default_rng(seed)
    first = draws.draw(0, share, size, rng)
    second = np.concatenate([draws.draw(0, share, 1, rng) for _ in range(size)])
    assert len(set(first)) == size
    assert set(second) == set(first)
    assert draws.epochs_NC[0, seed % index.num_cells] == 2.0


def test_draws_follow_the_distribution_over_tokens(tiny_corpus: Corpus, index: CellIndex) -> None:
    share = np.random.default_rng(0).dirichlet(np.ones(index.num_cells))
    draws = CellDraws(index, 1)
    draws.reset(0, 5, 1e12)
    rng = np.random.default_rng(1)
    ids = np.concatenate([draws.draw(0, share, 37, rng) for _ in range(200)])
    mean_tokens = index.tokens_C / index.windows_C
    expected = share / mean_tokens / (share / mean_tokens).sum() * len(ids)
    counts = np.array([(labels_of(tiny_corpus, ids) == labels).all(1).sum() for labels in index.labels_CA])
    assert chisquare(counts, expected).pvalue > 0.01


def test_state_goes_on_exactly(index: CellIndex) -> None:
    share = np.ones(index.num_cells) / index.num_cells
    one, other = CellDraws(index, 2), CellDraws(index, 2)
    one.reset(1, 3, 1e5)
    one.draw(1, share, 500, np.random.default_rng(0))
    other.load_state_dict(one.state_dict())
    ids = [draws.draw(1, share, 500, np.random.default_rng(1)) for draws in (one, other)]
    np.testing.assert_array_equal(ids[0], ids[1])
    np.testing.assert_array_equal(one.used_NC, other.used_NC)


def test_slots_do_not_touch_each_other(index: CellIndex) -> None:
    share = np.ones(index.num_cells) / index.num_cells
    draws = CellDraws(index, 2)
    for slot in (0, 1):
        draws.reset(slot, 9, 1e5)
    first = draws.draw(0, share, 300, np.random.default_rng(0))
    assert draws.used_NC[1].sum() == 0
    np.testing.assert_array_equal(draws.draw(1, share, 300, np.random.default_rng(0)), first)


def test_too_many_cells_name_the_agents(tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells_module, "MAX_CELLS", 3)
    train = tiny_corpus.splits["train"]
    labels = np.stack([tiny_corpus.labels[name].column[train.start : train.stop] for name in NAMES], 1)
    with pytest.raises(InputError, match=r"at most 3: coarsen the finest agents: topic \(10\), domain \(5\)"):
        CellIndex(Windows(tiny_corpus, 32), train, labels, NAMES)


def test_labels_of_the_wrong_length_are_refused(tiny_corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"labels have shape \(3, 2\), expected \(1000, 2\)"):
        CellIndex(Windows(tiny_corpus, 32), tiny_corpus.splits["train"], np.zeros((3, 2), np.uint16), NAMES)
