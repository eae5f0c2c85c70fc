"""Tokens and epochs by category against counts by hand."""

import numpy as np

from pretraingym.env.console.category_use import SHOWN, achieved, achieved_table
from pretraingym.lm.corpus.corpus import Labels

NONE = np.zeros(0, np.uint16)


def test_against_counts() -> None:
    columns = {"domain": Labels(("a", "b", "unused"), None, NONE), "kind": Labels(("x", "y"), None, NONE)}
    labels_CA = np.array([[0, 0], [0, 1], [1, 1]], np.uint16)
    found = achieved(columns, labels_CA, np.array([10, 30, 60]), np.array([40.0, 10.0, 50.0]))
    told = {
        label: [(use.category, use.tokens, use.share, use.epochs, use.pool_share) for use in uses]
        for label, uses in found.items()
    }
    assert told == {
        "domain": [("a", 40, 0.4, 0.8, 0.5), ("b", 60, 0.6, 1.2, 0.5)],
        "kind": [("y", 90, 0.9, 1.5, 0.6), ("x", 10, 0.1, 0.25, 0.4)],
    }
    before = achieved(columns, labels_CA, np.zeros(3, np.int64), np.array([40.0, 10.0, 50.0]))
    assert [use.share for use in before["domain"]] == [0, 0]


def test_of_many_categories_the_largest_are_shown_and_the_rest_summed() -> None:
    """65,535 of them: the largest, the one that a limit names, and all others as one row."""
    number = 65_535
    columns = {"tag": Labels(tuple(f"t|{place}\n" for place in range(number)), None, NONE)}
    labels_CA = np.arange(number, dtype=np.uint16)[:, None]
    pool, drawn = np.arange(1.0, number + 1), np.full(number, 2)
    uses = achieved(columns, labels_CA, drawn, pool, [("tag", "t|5\n"), ("other", "t|6\n")])["tag"]
    assert [use.category for use in uses] == [f"t|{number - 1 - place}\n" for place in range(SHOWN)] + ["t|5\n", None]
    rest = uses[-1]
    assert (rest.categories, rest.tokens) == (number - SHOWN - 1, 2 * (number - SHOWN - 1))
    assert rest.epochs == rest.tokens / (pool[: number - SHOWN].sum() - 6)
    assert sum(use.tokens for use in uses) == drawn.sum()
    assert uses[0].as_json() == {"category": "t|65534\n", "tokens": 2, "share": 2e-05, "epochs": 3e-05}
    assert rest.as_json()["others"] == rest.categories
    table = achieved_table({"tag": uses})
    assert len(table) == 2 + SHOWN + 2
    assert "| tag | t\\|5 |" in table[-2]
    assert "| tag | 65,514 others |" in table[-1]


def test_names_with_bars_stay_in_their_cells() -> None:
    use = achieved(
        {"a|b": Labels(("c|d",), None, np.zeros(1, np.uint16))}, np.zeros((1, 1), np.uint16), *[np.ones(1)] * 2
    )
    assert achieved_table(use)[-1].startswith("| a\\|b | c\\|d | 1 |")
