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

    def category(self, label: str, ids: np.ndarray) -> np.ndarray:
        return self.columns[label].column[ids >> PART_BITS]

    def tokens(self, limit: Limit, ids: np.ndarray) -> int:
        """Of those of these windows that are of the limit's category, counted one by one."""
        mine = self.category(limit.label, ids) == self.columns[limit.label].names.index(limit.category)
        return int(self.lengths(ids)[mine].sum())


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
        trial = quotas.choose(wish(rng, text), drawn_C, count, sum(clock), key)
        ids = sampler.take(np.array([0]), trial.count_C[None])[0]
        assert len(ids) == count
        drawn_C = drawn_C + trial.tokens_C
        assert drawn_C.sum() == text.lengths(np.concatenate([*intervals, ids])).sum()
        intervals.append(ids)
    return intervals


@settings(max_examples=150, deadline=None)
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
                times = np.unique(
                    ids[text.category(limit.label, ids) == text.columns[limit.label].names.index(limit.category)],
                    return_counts=True,
                )[1]
                assert times.max(initial=0) <= np.ceil(limit.number), f"{limit} after interval {end}"
            elif end == len(clock):
                assert tokens >= limit.number * drawn, f"{limit} after interval {end}"
