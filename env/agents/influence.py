"""influence: the categories of all label columns at once, by a regression of influence on labels over all probes.

In the manner of MATES (arXiv 2406.06046), which regresses the effect of one training step on a document on the
document's text. Departures: the regressor is a ridge regression on one-hot labels instead of a language model, so that
it scores cells; influence is a gradient inner product instead of an optimiser step for each document; and earlier
probes fade instead of being dropped.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..cells.category_sums import category_sums
from .base import Agent, Array, Feedback, Layout, Relabelling, by_category

MAX_CATEGORIES = 2048  # 34 MB of moments a run


class InfluenceAgent(Agent):
    """memory: the factor by which the moments of earlier probes fade in an interval; shrinkage: of the ridge, in probe
    windows: a category seen that often keeps half of its effect. Both are assumed, not tuned."""

    name = "influence"
    moves = True

    def __init__(self, memory: float = 0.8, shrinkage: float = 8.0) -> None:
        self.memory, self.shrinkage = memory, shrinkage

    def start(self, num_slots: int, layout: Layout) -> None:
        categories = [len(labels.names) for labels in layout.columns.values()]
        self.offset_A = np.concatenate([[0], np.cumsum(categories)[:-1]]).astype(np.intp)
        width = sum(categories)
        if width > MAX_CATEGORIES:
            raise InputError(
                f"agent 'influence' pools {width} categories, at most {MAX_CATEGORIES}: coarsen the finest of "
                f"{', '.join(layout.columns)}, or leave it out"
            )
        self.gram_NQQ = np.zeros((num_slots, width, width))
        self.cross_NQ = np.zeros((num_slots, width))
        self.effect_NQ = np.zeros((num_slots, width))

    def score(self, labels: NDArray[np.uint16]) -> Array:
        return self.effect_NQ[:, labels + self.offset_A].sum(2)

    def reset(self, slots: NDArray[np.intp]) -> None:
        for moments in (self.gram_NQQ, self.cross_NQ, self.effect_NQ):
            moments[slots] = 0

    def update(self, feedback: Feedback) -> None:
        usable, width = np.flatnonzero(feedback.usable), self.cross_NQ.shape[1]
        if not len(usable):
            return
        # Below, N are the usable runs alone.
        share_NP, influence_NP = feedback.share[usable], feedback.influence[usable]
        label_NPA = feedback.labels[usable] + self.offset_A
        num_runs, num_windows, num_columns = label_NPA.shape
        weight_NP = share_NP * num_windows
        target_NP = influence_NP - (share_NP * influence_NP).sum(1, keepdims=True)
        # The design matrix is one-hot, so its products with itself are sums by pair of labels: one column against all.
        label = label_NPA.reshape(num_runs, -1)  # (N, P * A), as the two below
        weight = np.repeat(weight_NP, num_columns, 1)
        cross_NQ = category_sums(label, np.repeat(weight_NP * target_NP, num_columns, 1), width)
        cross_NQ += self.memory * self.cross_NQ[usable]
        gram_NQQ = self.memory * self.gram_NQQ[usable]
        for label_NP in label_NPA.transpose(2, 0, 1):
            pair = np.repeat(label_NP * width, num_columns, 1) + label
            gram_NQQ += category_sums(pair, weight, width**2).reshape(gram_NQQ.shape)
        self.gram_NQQ[usable], self.cross_NQ[usable] = gram_NQQ, cross_NQ
        ridge = self.shrinkage * np.eye(width)
        self.effect_NQ[usable] = np.linalg.solve(gram_NQQ + ridge, cross_NQ[..., None])[..., 0]

    def state_dict(self) -> dict[str, NDArray]:
        return {"gram": self.gram_NQQ.copy(), "cross": self.cross_NQ.copy(), "effect": self.effect_NQ.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.gram_NQQ, self.cross_NQ = state["gram"].copy(), state["cross"].copy()
        self.effect_NQ = state["effect"].copy()

    def carried_over(self, state: dict[str, NDArray], labels: Relabelling) -> dict[str, NDArray]:
        offsets = np.cumsum([0, *labels.counts.values()])
        numbers = zip(labels.before.values(), offsets[:-1], strict=True)
        before_Q = np.concatenate([np.where(number >= 0, number + offset, -1) for number, offset in numbers])
        moved = {name: by_category(values, before_Q, 1) for name, values in state.items()}
        return moved | {"gram": by_category(moved["gram"], before_Q, 2)}
