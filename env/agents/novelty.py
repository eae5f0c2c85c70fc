"""novelty: the less a cell has been used, the higher its priority.

A count-based bonus, in the manner of exploration by visit counts (arXiv 1606.01868) and of the visit counts of clusters
in Quad (arXiv 2409.16986): priority = -log(1 + epochs used of the cell). Departures: no bonus parameter, because scores
are standardised, and epochs in place of visits, or small cells would stay novel forever.
"""

import numpy as np
from numpy.typing import NDArray

from .base import Agent, Array, Feedback, Layout, Relabelling


class NoveltyAgent(Agent):
    """It gives priorities to the cells themselves and needs no labels of its own."""

    name = "novelty"
    moves = True

    def start(self, num_slots: int, layout: Layout) -> None:
        self.epochs_NC = np.zeros((num_slots, len(layout.cells)))

    def score(self, labels: NDArray[np.uint16]) -> Array:
        """NaN: of text outside the cells it cannot tell."""
        return np.full((len(self.epochs_NC), len(labels)), np.nan)

    def score_cells(self, cells_CA: NDArray[np.uint16]) -> Array:
        return -np.log1p(self.epochs_NC)

    def reset(self, slots: NDArray[np.intp]) -> None:
        self.epochs_NC[slots] = 0

    def update(self, feedback: Feedback) -> None:
        self.epochs_NC = feedback.epochs.copy()

    def state_dict(self) -> dict[str, NDArray]:
        return {"epochs": self.epochs_NC.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.epochs_NC = state["epochs"].copy()

    def carried_over(self, state: dict[str, NDArray], labels: Relabelling) -> dict[str, NDArray]:
        return {"epochs": labels.epochs}
