"""Whole simulated runs under hard limits: whatever the mixture asks for, tokens counted by hand keep them exactly."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraingym.env.cells.builder import LabelledDocuments, build_cells
from pretraingym.env.cells.index import CellIndex
from pretraingym.env.cells.sampler import CellSampler
from pretraingym.env.console.feasibility import check_limits
from pretraingym.env.console.limited_cells import LimitedCells
from pretraingym.env.console.limits import EPOCHS, SHARE, Limit
from pretraingym.env.console.quotas import RunQuotas
from pretraingym.lm.corpus.corpus import Labels
from pretraingym.lm.corpus.windows import PART_BITS
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.keyed_random import hash64

CONTEXT = 16
SIZES = {"domain": 4, "topic": 3, "quality": 2}  # categories of each label


@dataclass(frozen=True)
class Text:
    """Documents with labels, in windows of CONTEXT tokens."""

    offsets: np.ndarray
    columns: dict[str, Labels]
    cells: CellIndex

    def lengths(self, ids: np.ndarray) -> np.ndarray:
        document = ids >> PART_BITS
        return np.minimum(self.offsets[document + 1] - self.offsets[document], CONTEXT)

    def inside(self, limit: Limit, ids: np.ndarray) -> np.ndarray:
        """Which of these windows are of the limit's category."""
        column = self.columns[limit.label]
        return column.column[ids >> PART_BITS] == column.names.index(limit.category)

    def tokens(self, limit: Limit, ids: np.ndarray) -> int:
        """Of those of these windows that are of the limit's category, counted one by one."""
        return int(self.lengths(ids)[self.inside(limit, ids)].sum())


def some_text(rng: np.random.Generator, documents: int, long: bool) -> Text:
    """Documents of random lengths (long: many windows each) under labels that go together more or less."""
    lengths = rng.integers(1, 160 if long else 40, documents)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    first = rng.choice(SIZES["domain"], documents, p=rng.dirichlet(np.ones(SIZES["domain"])))
    columns = {}
    for name, size in SIZES.items():
        same = rng.random(documents) < rng.random()
        label = np.where(same, first % size, rng.integers(0, size, documents)).astype(np.uint16)
        columns[name] = Labels(tuple(f"{name} {number}" for number in range(size)), None, label)
    source = LabelledDocuments(offsets, CONTEXT, range(documents), {name: c.column for name, c in columns.items()})
    return Text(offsets, columns, build_cells(source))


def some_limits(rng: np.random.Generator, text: Text, epochs: float) -> list[Limit]:
    """One to five limits, of which some are hard to keep in a run of so many epochs."""
    limits: dict[tuple[str, str, str], Limit] = {}
    for _ in range(rng.integers(1, 6)):
        label = str(rng.choice(list(SIZES)))
        category = str(rng.choice(text.columns[label].names))
        kind = str(rng.choice([EPOCHS, SHARE]))
        number = rng.choice([0.0, rng.uniform(0, 3) * epochs, np.ceil(3 * rng.random() * epochs)])
        limits[kind, label, category] = Limit(
            kind, label, category, round(float(number), 3) if kind == EPOCHS else round(rng.uniform(0.02, 0.7), 3)
        )
    return list(limits.values())


Wish = Callable[[np.random.Generator, Text], np.ndarray]
WISHES: dict[str, Wish] = {
    "even": lambda rng, text: rng.dirichlet(np.ones(text.cells.num_cells)),
    "narrow": lambda rng, text: rng.dirichlet(np.full(text.cells.num_cells, 0.05)),
    "one cell": lambda rng, text: np.eye(text.cells.num_cells)[rng.integers(text.cells.num_cells)],
    "natural": lambda rng, text: text.cells.natural_C,
}


def simulate(
    text: Text, limits: list[Limit], clock: list[int], rng: np.random.Generator, wish: Wish
) -> list[np.ndarray]:
    """The windows of each interval of a run of `clock` windows, under a wish that may change from one to the next."""
    sampler = CellSampler(text.cells, 1)
    sampler.reset(0, int(rng.integers(2**40)), 1e12, text.cells.natural_C)
    limited = LimitedCells(limits, text.columns, text.cells, sampler.pool_NC[0], CONTEXT)
    quotas = RunQuotas(limited, sampler, 0, text.lengths)
    drawn_C, intervals = np.zeros(text.cells.num_cells, np.int64), []
    for turn, count in enumerate(clock):
        key = hash64(np.array([turn], np.uint64))
        trial = quotas.choose(wish(rng, text), drawn_C, sum(clock[turn:]), count, key)
        ids = sampler.take(np.array([0]), trial.count_C[None])[0]
        assert len(ids) == count
        drawn_C = drawn_C + trial.tokens_C
        assert drawn_C.sum() == text.lengths(np.concatenate([*intervals, ids])).sum()
        intervals.append(ids)
    return intervals


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), long=st.booleans(), wish=st.sampled_from(sorted(WISHES)))
def test_a_run_keeps_its_limits_or_is_refused(seed: int, long: bool, wish: str) -> None:
    rng = np.random.default_rng(seed)
    text = some_text(rng, int(rng.integers(20, 200)), long)
    clock = [int(rng.integers(4, 40)), *[int(rng.integers(20, 120))] * int(rng.integers(1, 7))]
    limits = some_limits(rng, text, sum(clock) / text.cells.windows_C.sum())
    try:
        check_limits(limits, text.columns, text.cells, text.cells.windows_C, CONTEXT, sum(clock))
    except InputError:
        return
    intervals = simulate(text, limits, clock, rng, WISHES[wish])
    every = text.cells.window_ids(np.arange(text.cells.windows_C.sum()))
    for end in range(1, len(clock) + 1):
        ids = np.concatenate(intervals[:end])
        for limit in limits:
            tokens, drawn = text.tokens(limit, ids), text.lengths(ids).sum()
            if limit.kind == EPOCHS:
                assert tokens <= limit.number * text.tokens(limit, every), f"{limit} after interval {end}"
                times = np.unique(ids[text.inside(limit, ids)], return_counts=True)[1]
                assert times.max(initial=0) <= np.ceil(limit.number), f"{limit} after interval {end}"
            else:
                rounding = 0 if end == len(clock) else 4 * CONTEXT
                assert tokens >= limit.number * drawn - rounding, f"{limit} after interval {end}"


def four_cells() -> Text:
    """Cells (code, t), (code, u), (prose, t) and (prose, other), each of 1,000 full windows."""
    offsets = np.arange(4001) * CONTEXT
    domain, topic = (np.repeat(np.array(labels, np.uint16), 1000) for labels in ((0, 0, 1, 1), (0, 1, 0, 2)))
    columns = {"domain": Labels(("code", "prose"), None, domain), "topic": Labels(("t", "u", "other"), None, topic)}
    cells = build_cells(LabelledDocuments(offsets, CONTEXT, range(4000), {"domain": domain, "topic": topic}))
    return Text(offsets, columns, cells)


def counts(text: Text, intervals: list[np.ndarray]) -> list[list[int]]:
    """Windows of each of the four cells in each interval."""
    return [np.bincount((ids >> PART_BITS) // 1000, minlength=4).tolist() for ids in intervals]


def test_of_the_mixtures_that_keep_a_limit_the_nearest_is_drawn() -> None:
    """The capped category is drawn as wished until it is used up, and then the others in their proportions."""
    text, rng = four_cells(), np.random.default_rng(0)
    limits = [Limit(EPOCHS, "topic", "u", 0.5), Limit(SHARE, "topic", "other", 0.1)]
    drawn = counts(text, simulate(text, limits, [1000] * 3, rng, lambda *_: np.array([0.2, 0.4, 0.2, 0.2])))
    for found, expected in zip(drawn, ([200, 400, 200, 200], [300, 100, 300, 300], [333, 0, 333, 333]), strict=True):
        np.testing.assert_allclose(found, expected, atol=2)
    limits = [Limit(SHARE, "domain", "code", 0.5), Limit(SHARE, "topic", "other", 0.1)]
    drawn = counts(text, simulate(text, limits, [1000], rng, lambda *_: np.array([0.1, 0.1, 0.4, 0.4])))
    np.testing.assert_allclose(drawn, [[250, 250, 250, 250]], atol=1)


def test_the_mixture_that_is_told_is_drawn() -> None:
    text, sampler = four_cells(), CellSampler(four_cells().cells, 1)
    sampler.reset(0, 0, 1e12, text.cells.natural_C)
    limits = [Limit(EPOCHS, "topic", "t", 0.1), Limit(SHARE, "domain", "code", 0.6)]
    limited = LimitedCells(limits, text.columns, text.cells, sampler.pool_NC[0], CONTEXT)
    wish = np.array([0.4, 0.1, 0.4, 0.1])
    quotas, key = RunQuotas(limited, sampler, 0, text.lengths), hash64(np.zeros(1, np.uint64))
    trial = quotas.choose(wish, np.zeros(4, np.int64), 1000, 1000, key)
    np.testing.assert_allclose(trial.target_C, [120, 480, 80, 320], atol=1)
    np.testing.assert_allclose(trial.count_C, trial.target_C, atol=2)
    assert trial.excess.tolist() == [0, 0]


def test_a_share_is_made_up_where_the_policy_leaves_it_out() -> None:
    text = four_cells()
    limits = [Limit(SHARE, "topic", "u", 0.3)]
    intervals = simulate(text, limits, [100] * 5, np.random.default_rng(0), lambda *_: np.array([1.0, 0, 0, 0]))
    assert counts(text, intervals) == [[70, 30, 0, 0]] * 5


def test_the_rest_of_the_run_is_looked_at() -> None:
    """Half of the run must be code, which comes from 300 windows of t and 300 of u. If prose is drawn from t as the
    mixture asks, code runs out of t, and then of u."""
    text = four_cells()
    limits = [Limit(EPOCHS, "topic", "t", 0.15), Limit(EPOCHS, "topic", "u", 0.3), Limit(SHARE, "domain", "code", 0.5)]
    check_limits(limits, text.columns, text.cells, text.cells.windows_C, CONTEXT, 1000)
    wish = np.array([0.01, 0.01, 0.97, 0.01])
    drawn = np.sum(counts(text, simulate(text, limits, [100] * 10, np.random.default_rng(0), lambda *_: wish)), axis=0)
    assert drawn[0] + drawn[1] >= 500
    assert drawn[0] + drawn[2] <= 300
    assert drawn[1] <= 300
    assert drawn[2] >= 85  # of 100 that are possible


def test_each_text_exactly_once() -> None:
    """As many windows as there are, each at most once: no room for another choice, and none is needed."""
    text = some_text(np.random.default_rng(1), 100, long=False)
    limits = [Limit(EPOCHS, "domain", name, 1) for name in text.columns["domain"].names]
    clock = [int(text.cells.windows_C.sum()) // 4] * 3
    clock.append(int(text.cells.windows_C.sum()) - sum(clock))
    check_limits(limits, text.columns, text.cells, text.cells.windows_C, CONTEXT, sum(clock))
    ids = np.concatenate(simulate(text, limits, clock, np.random.default_rng(2), WISHES["narrow"]))
    assert len(np.unique(ids)) == len(ids) == text.cells.windows_C.sum()
