"""What a run has drawn of each category: tokens, share and epochs, by label column."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import Labels
from ...lm.io.markdown import table_cell

SHOWN = 20  # categories of a label, the largest of the pool; the others are summed, since a label may have thousands


@dataclass(frozen=True)
class CategoryUse:
    """What was drawn of one category, or (category None) of all that are not shown: how many these are, tokens, their
    share of all tokens drawn, epochs (tokens over the category's tokens in the pool), and its share of the pool."""

    label: str
    category: str | None
    categories: int
    tokens: int
    share: float
    epochs: float
    pool_share: float

    def as_json(self) -> dict[str, Any]:
        """For metrics, of which the label is the key."""
        name = {"others": self.categories} if self.category is None else {"category": self.category}
        return {**name, "tokens": self.tokens, "share": round(self.share, 5), "epochs": round(self.epochs, 5)}


def achieved(
    columns: Mapping[str, Labels],
    labels_CA: NDArray[np.uint16],
    drawn_C: NDArray[np.int64],
    pool_tokens_C: NDArray[np.float64],
    named: Collection[tuple[str, str]] = (),
) -> dict[str, list[CategoryUse]]:
    """By label column, its SHOWN largest categories of the pool and those that are `named` (label, category), largest
    first, then all others as one. drawn_C: tokens drawn from each cell. Categories without text are left out."""
    return {
        label: _uses(
            label,
            column,
            labels_CA[:, place],
            drawn_C,
            pool_tokens_C,
            {category for of, category in named if of == label},
        )
        for place, (label, column) in enumerate(columns.items())
    }


def _uses(
    label: str,
    column: Labels,
    label_C: NDArray[np.uint16],
    drawn_C: NDArray[np.int64],
    pool_tokens_C: NDArray[np.float64],
    named: set[str],
) -> list[CategoryUse]:
    pool = np.bincount(label_C, pool_tokens_C, len(column.names))
    drawn = np.bincount(label_C, drawn_C, len(column.names))
    all_drawn, all_pool = max(drawn.sum(), 1.0), pool.sum()

    def use(category: str | None, members: NDArray[np.intp]) -> CategoryUse:
        tokens, own = drawn[members].sum(), pool[members].sum()
        return CategoryUse(
            label, category, len(members), int(tokens), tokens / all_drawn, tokens / own, float(own / all_pool)
        )

    order = np.argsort(-pool, kind="stable")[: np.count_nonzero(pool)]
    shown = [place < SHOWN or column.names[number] in named for place, number in enumerate(order.tolist())]
    uses = [use(column.names[number], order[i : i + 1]) for i, number in enumerate(order.tolist()) if shown[i]]
    rest = order[~np.array(shown, bool)]
    return [*uses, use(None, rest)] if len(rest) else uses


def achieved_table(uses: Mapping[str, list[CategoryUse]]) -> list[str]:
    """The lines of a Markdown table of them."""
    lines = [
        "| label | category | tokens drawn | share | share of the corpus | epochs |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for use in (use for of_label in uses.values() for use in of_label):
        name = f"{use.categories:,} others" if use.category is None else use.category
        numbers = f"{use.tokens:,} | {use.share:.2%} | {use.pool_share:.2%} | {use.epochs:.3f}"
        lines.append(f"| {table_cell(use.label)} | {table_cell(name)} | {numbers} |")
    return lines
