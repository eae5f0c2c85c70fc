"""Limits that no run can keep, each refused with its arithmetic; and those that go together, accepted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pretraingym.env.cells.builder import LabelledDocuments, build_cells
from pretraingym.env.console.feasibility import check_limits, limit_lines
from pretraingym.env.console.limits import EPOCHS, SHARE, Limit
from pretraingym.lm.corpus.corpus import Labels
from pretraingym.lm.io.errors import InputError

CONTEXT = 10
CODE, PROSE = (Limit(SHARE, "domain", name, 0.5) for name in ("code", "prose"))


def check(limits: list[Limit], windows: int = 1000) -> None:
    """On 100 documents of 100 tokens: 20 of code and 80 of prose; 30 good ones, of which 10 are code."""
    domain = np.array([0] * 20 + [1] * 80, np.uint16)
    quality = np.array([0] * 10 + [1] * 10 + [0] * 20 + [1] * 60, np.uint16)
    names = {"domain": ("code", "prose", "none"), "quality": ("good", "poor")}
    columns = {name: Labels(names[name], None, column) for name, column in (("domain", domain), ("quality", quality))}
    source = LabelledDocuments(np.arange(101) * 100, CONTEXT, range(100), {"domain": domain, "quality": quality})
    cells = build_cells(source)
    check_limits(limits, columns, cells, cells.windows_C, CONTEXT, windows)


def at_most(label: str, category: str, epochs: float) -> Limit:
    return Limit(EPOCHS, label, category, epochs)


def at_least(label: str, category: str, share: float) -> Limit:
    return Limit(SHARE, label, category, share)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (
            [at_least("domain", "code", 0.7), at_least("quality", "good", 0.1), at_least("domain", "prose", 0.4)],
            "no run of 10,000 tokens can keep --share domain=code:0.7, --share domain=prose:0.4: domain=code needs 0.7 "
            "x 10,000 = 7,000 tokens (the pool has 2,000); domain=prose needs 0.4 x 10,000 = 4,000 tokens (the pool "
            "has 8,000); beside the others domain=code can have a share of 0.5920 at most, with windows to spare: "
            "lower a share",
        ),
        (
            [at_most("domain", "code", 2), at_least("domain", "code", 0.5)],
            "--epochs domain=code:2, --share domain=code:0.5: domain=code gives at most 2 x 2,000 = 4,000 tokens; "
            "domain=code needs 0.5 x 10,000 = 5,000 tokens (the pool has 2,000); beside the others domain=code can "
            "have a share of 0.3960 at most, with windows to spare: lower a share, raise the epochs, or shorten the "
            "run",
        ),
        (
            [at_most("domain", "code", 2), at_most("domain", "prose", 0.5), at_most("quality", "good", 9)],
            "no run of 10,000 tokens can keep --epochs domain=code:2, --epochs domain=prose:0.5: domain=code gives at "
            "most 2 x 2,000 = 4,000 tokens; domain=prose gives at most 0.5 x 8,000 = 4,000 tokens; with the rest of "
            "the pool they allow 796 of the run's 1,000 windows, with some to spare: raise the epochs, or shorten the "
            "run",
        ),
        (
            [at_least("domain", "none", 0.01)],
            "domain=none needs 0.01 x 10,000 = 100 tokens (the pool has 0); domain=none can have a share of 0.0000",
        ),
        ([CODE, PROSE], "domain=code can have a share of 0.4920 at most, with windows to spare: lower a share"),
        (
            [at_least("domain", "code", 1.0)],
            "domain=code can have a share of 0.9960 at most, with windows to spare",
        ),
    ],
)
def test_refused_with_the_arithmetic(limits: list[Limit], told: str) -> None:
    with pytest.raises(InputError) as error:
        check(limits)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_three_labels_that_do_not_go_together() -> None:
    """Each text once: that is 200 windows of code, where 240 are asked for."""
    each_once = [at_most("quality", "good", 1), at_most("quality", "poor", 1)]
    with pytest.raises(
        InputError, match="can keep --share domain=code:0.6, --epochs quality=good:1, --epochs quality="
    ):
        check([at_least("domain", "code", 0.6), at_least("domain", "prose", 0.1), *each_once], 400)
    check([at_least("domain", "code", 0.48), *each_once], 400)


@pytest.mark.parametrize(
    "limits",
    [
        [at_least("domain", "code", 0.7), at_least("domain", "prose", 0.29)],
        [at_most("domain", "code", 2), at_least("domain", "code", 0.39)],
        [at_most("domain", "code", 0), at_most("domain", "none", 0)],
        [at_most("domain", "code", 2), at_most("domain", "prose", 0.8)],
        [at_least("domain", "code", 0.9), at_least("quality", "good", 0.9), at_most("quality", "poor", 0.2)],
        [at_least("domain", "code", 0.98)],
        [at_most("quality", "good", 1), at_most("quality", "poor", 1)],
    ],
)
def test_limits_that_go_together_are_accepted(limits: list[Limit]) -> None:
    check(limits)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), spare=st.floats(1.05, 3))
def test_what_some_run_does_with_room_to_spare_is_accepted(seed: int, spare: float) -> None:
    """Limits around what is drawn of each category by an arbitrary mixture."""
    rng = np.random.default_rng(seed)
    documents, windows = 300, 2000
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 60, documents))])
    column = {name: rng.integers(0, size, documents).astype(np.uint16) for name, size in (("a", 3), ("b", 4))}
    cells = build_cells(LabelledDocuments(offsets, CONTEXT, range(documents), column))
    columns = {name: Labels(tuple("wxyz"), None, label) for name, label in column.items()}
    share_C = rng.dirichlet(np.ones(cells.num_cells))
    windows_C = share_C / cells.window_tokens_C
    drawn_C = windows * share_C / windows_C.sum()
    limits = []
    for place, (name, labels) in enumerate(columns.items()):
        for number, category in enumerate(labels.names):
            mine = cells.labels_CA[:, place] == number
            own, drawn = cells.tokens_C[mine], drawn_C[mine]
            if not mine.any():
                continue
            if rng.random() < 0.5:  # each cell of it at most so often
                limits.append(Limit(EPOCHS, name, category, float(spare * (drawn / own).max())))
            limits.append(Limit(SHARE, name, category, float(drawn.sum() / drawn_C.sum() / spare)))
    check_limits(limits, columns, cells, cells.windows_C, CONTEXT, windows)


def test_lines_for_a_plan() -> None:
    domain = np.array([0, 1], np.uint16)
    cells = build_cells(LabelledDocuments(np.array([0, 15, 40]), CONTEXT, range(2), {"domain": domain}))
    columns = {"domain": Labels(("code", "prose"), None, domain)}
    assert limit_lines([CODE, at_most("domain", "prose", 4)], columns, cells, 500) == [
        "domain=code needs 0.5 x 500 = 250 tokens (the pool has 20)",
        "domain=prose gives at most 4 x 30 = 120 tokens",
    ]
