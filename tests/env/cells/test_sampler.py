"""Draws against counting by hand: in which proportions and how often windows are drawn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pretraingym.env.cells.builder import LabelledDocuments, build_cells
from pretraingym.env.cells.index import CellIndex
from pretraingym.env.cells.sampler import CellSampler
from pretraingym.lm.corpus.windows import PART_BITS
from pretraingym.lm.keyed_random import hash64

CONTEXT = 10
NUM_CELLS = 12  # of `some_cells`


def some_cells(seed: int = 0, documents: int = 600) -> CellIndex:
    """NUM_CELLS cells, the last of them of a single document; documents of 0 to 40 tokens, or of hundreds."""
    rng = np.random.default_rng(seed)
    lengths = np.where(rng.random(documents) < 0.1, rng.geometric(1 / 300, documents), rng.integers(0, 41, documents))
    label = rng.integers(0, NUM_CELLS - 1, documents).astype(np.uint16)
    single = 7
    label[single], lengths[single] = NUM_CELLS - 1, 5
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return build_cells(LabelledDocuments(offsets, CONTEXT, range(documents), {"agent": label}))


@pytest.fixture(scope="module")
def index() -> CellIndex:
    return some_cells()


@pytest.fixture(scope="module")
def cell_of(index: CellIndex) -> dict[int, int]:
    """The cell of every window id."""
    ids = index.window_ids(np.arange(index.windows_C.sum()))
    return dict(zip(ids.tolist(), np.repeat(np.arange(index.num_cells), index.windows_C).tolist(), strict=True))


def key(seed: int) -> np.ndarray:
    return hash64(np.array([seed], np.uint64))


def begun(index: CellIndex, seed: int, pool_tokens: float = 1e12) -> CellSampler:
    sampler = CellSampler(index, 1)
    sampler.reset(0, seed, pool_tokens, index.natural_C)
    return sampler


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), pool=st.floats(0.01, 1.0), cell=st.integers(0, NUM_CELLS - 1))
def test_no_window_twice_before_the_cell_is_used_up(index: CellIndex, seed: int, pool: float, cell: int) -> None:
    """At a corner of the simplex: the whole pool of one cell, then in another order the same pool again."""
    sampler = begun(index, seed, pool * index.tokens_C.sum())
    share = np.eye(index.num_cells)[cell]
    size = int(sampler.pool_NC[0, cell])
    first = sampler.draw(np.array([0]), share[None], size, key(seed))[0]
    second = np.concatenate([sampler.draw(np.array([0]), share[None], 1, key(turn))[0] for turn in range(size)])
    assert len(set(first.tolist())) == size
    assert set(second.tolist()) == set(first.tolist())
    assert sampler.epochs_NC[0].tolist() == (2.0 * share).tolist()
    orders = sampler.windows_at(np.array([0]), np.full((1, 2 * size), cell), np.arange(2 * size)[None]).reshape(2, size)
    assert (np.sort(orders) == np.sort(first)).all()
    assert size < 10 or (orders[0] != orders[1]).any()


def drawn_by(sampler: CellSampler, seed: int, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Ids of what draws of these sizes come to under random shares, and how often each was drawn."""
    rng, cells = np.random.default_rng(seed), sampler.cells.num_cells
    drawn = [
        sampler.draw(np.array([0]), rng.dirichlet(np.full(cells, 0.3))[None], count, key(turn))[0]
        for turn, count in enumerate(counts)
    ]
    return np.unique(np.concatenate(drawn), return_counts=True)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), counts=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_cells_are_used_up_evenly(seed: int, counts: list[int]) -> None:
    """However draws are cut up, and whatever the shares, windows of one cell differ by one draw at most."""
    index = some_cells(seed % 5, 60)
    sampler = begun(index, seed)
    ids, times = drawn_by(sampler, seed, counts)
    every = index.window_ids(np.arange(index.windows_C.sum()))
    often = np.zeros(len(every), int)
    often[np.searchsorted(every, ids, sorter=np.argsort(every))] = times
    often[np.argsort(every)] = often.copy()
    for cell, of_cell in enumerate(np.split(often, index.first_C[1:])):
        assert of_cell.sum() == sampler.used_NC[0, cell], f"cell {cell}"
        assert np.ptp(of_cell) <= 1, f"cell {cell}"


def test_draws_follow_the_distribution_over_tokens(index: CellIndex, cell_of: dict[int, int]) -> None:
    """The mixture is of tokens: a cell of short windows has more of the draws than its share."""
    share = np.random.default_rng(0).dirichlet(np.ones(index.num_cells))
    sampler = begun(index, 5)
    ids = np.concatenate([sampler.draw(np.array([0]), share[None], 37, key(turn))[0] for turn in range(200)])
    chance = share / (index.tokens_C / index.windows_C)
    counts = np.bincount([cell_of[i] for i in ids.tolist()], minlength=index.num_cells)
    assert chisquare(counts, chance / chance.sum() * len(ids)).pvalue > 0.01


def test_the_mixture_of_a_draw_is_closer_than_chance(index: CellIndex) -> None:
    """Each cell's count is within one of what is expected: the slices leave no more room."""
    share = np.random.default_rng(3).dirichlet(np.ones(index.num_cells))
    sampler = begun(index, 5)
    sampler.draw(np.array([0]), share[None], 5000, key(1))[0]
    chance = share / (index.tokens_C / index.windows_C)
    assert abs(sampler.used_NC[0] - chance / chance.sum() * 5000).max() < 2


def test_every_window_of_a_cell_is_as_likely_and_at_any_place() -> None:
    """Over seeds: which window of the first cell, of seven, comes first, and where in a draw the last cell comes."""
    offsets = np.arange(0, 85, 5)
    label = np.repeat([0, 1, 2], [7, 8, 1]).astype(np.uint16)
    index = build_cells(LabelledDocuments(offsets, 5, range(len(label)), {"agent": label}))
    first, place = np.zeros(7), np.zeros(len(label))
    for seed in range(3000):
        sampler = begun(index, seed)
        ids = sampler.draw(np.array([0]), index.natural_C[None], len(label), key(seed))[0] >> PART_BITS
        place[np.flatnonzero(ids == len(label) - 1)] += 1
        first[sampler.windows_at(np.array([0]), np.zeros((1, 1), int), np.zeros((1, 1), int))[0, 0] >> PART_BITS] += 1
    assert chisquare(first).pvalue > 0.01
    assert chisquare(place).pvalue > 0.01


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), before=st.lists(st.integers(1, 300), max_size=4), pool=st.floats(0.01, 1.0))
def test_state_goes_on_exactly_from_any_point(index: CellIndex, seed: int, before: list[int], pool: float) -> None:
    share = np.random.default_rng(seed).dirichlet(np.ones(index.num_cells))
    one, other = CellSampler(index, 2), CellSampler(index, 2)
    one.reset(1, seed, pool * index.tokens_C.sum(), share)
    for count in before:
        one.draw(np.array([1]), share[None], count, key(count))[0]
    other.load_state_dict(one.state_dict())
    for count in (1, 500):
        ids = [sampler.draw(np.array([1]), share[None], count, key(9))[0] for sampler in (one, other)]
        np.testing.assert_array_equal(ids[0], ids[1])
    for name in ("used_NC", "pool_NC", "pool_tokens_NC", "epochs_NC"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_slots_do_not_touch_each_other(index: CellIndex) -> None:
    sampler = CellSampler(index, 2)
    for slot in (0, 1):
        sampler.reset(slot, 9, 1e5, index.natural_C)
    first = sampler.draw(np.array([0]), index.natural_C[None], 300, key(0))[0]
    assert sampler.used_NC[1].sum() == 0
    np.testing.assert_array_equal(sampler.draw(np.array([1]), index.natural_C[None], 300, key(0))[0], first)


def test_cells_without_a_share_are_not_drawn(index: CellIndex) -> None:
    """First, last and in between, with an edge of the last cell that rounds to less than one."""
    share = np.full(index.num_cells, 0.1)
    share[[0, 5, NUM_CELLS - 2, NUM_CELLS - 1]] = 0
    sampler = begun(index, 1)
    for seed in range(50):
        sampler.draw(np.array([0]), share[None], 1000, key(seed))[0]
    assert ((sampler.used_NC[0] > 0) == (share > 0)).all()
    assert sampler.used_NC.sum() == 50_000


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), counts=st.lists(st.integers(1, 200), min_size=1, max_size=6), most=st.integers(1, 4))
def test_after_uneven_use_the_least_used_come_first(seed: int, counts: list[int], most: int) -> None:
    """From any numbers of uses; with a state saved and loaded after each draw."""
    index, rng, slot = some_cells(seed % 5, 60), np.random.default_rng(seed), np.array([0])
    cell_W = np.repeat(np.arange(index.num_cells), index.windows_C)
    every = index.window_ids(np.arange(len(cell_W)))
    used_W = rng.integers(0, most, len(cell_W)) * rng.integers(0, 2, len(cell_W))
    sampler = CellSampler(index, 1)
    sampler.carry_on(0, seed, used_W)
    for turn, count in enumerate(counts):
        ids = sampler.draw(slot, rng.dirichlet(np.full(index.num_cells, 0.3))[None], count, key(turn))[0]
        drawn_W = np.bincount(np.searchsorted(np.sort(every), ids), minlength=len(every))[np.argsort(np.argsort(every))]
        used_W = used_W + drawn_W
        for cell in np.unique(cell_W[drawn_W > 0]):
            inside = cell_W == cell
            assert used_W[inside].min() >= used_W[inside & (drawn_W > 0)].max() - 1, f"cell {cell}"
        assert np.bincount(cell_W, used_W, index.num_cells).tolist() == sampler.used_NC[0].tolist()
        assert sampler.times(0, sampler.used_NC[0]).tolist() == used_W.tolist()
        again = CellSampler(index, 1)
        again.load_state_dict(sampler.state_dict())
        sampler = again
    for cell, size in enumerate(index.windows_C.tolist()):  # as the probe goes through a pool: the used ones first
        turns = sampler.first_turn_NC[0, cell] + np.arange(size)
        ids = sampler.windows_at(slot, np.full((1, size), cell), turns[None])[0]
        assert len(set(ids.tolist())) == size
        times = dict(zip(every.tolist(), used_W.tolist(), strict=True))
        assert [times[number] > 0 for number in ids.tolist()] == (turns < sampler.used_NC[0, cell]).tolist()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), counts=st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_how_often_each_window_was_used(seed: int, counts: list[int]) -> None:
    index = some_cells(seed % 5, 60)
    sampler = begun(index, seed)
    ids, times = drawn_by(sampler, seed, counts)
    every = index.window_ids(np.arange(index.windows_C.sum())).tolist()
    expected = dict(zip(ids.tolist(), times.tolist(), strict=True))
    assert sampler.times(0, sampler.used_NC[0]).tolist() == [expected.get(number, 0) for number in every]


def test_the_documents_of_an_index_are_those_of_its_windows(index: CellIndex, cell_of: dict[int, int]) -> None:
    number_D, cell_D, windows_D = index.documents()
    document_of = index.window_ids(np.arange(index.windows_C.sum())) >> PART_BITS
    np.testing.assert_array_equal(np.repeat(number_D, windows_D), document_of)
    np.testing.assert_array_equal(np.repeat(cell_D, windows_D), list(cell_of.values()))
