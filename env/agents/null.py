"""null: the agent that selects nothing. Weight on it is weight on the natural mixture (from no paper)."""

import numpy as np
from numpy.typing import NDArray

from .base import Agent, Layout


class NullAgent(Agent):
    """Priority zero everywhere."""

    name = "null"

    def start(self, num_slots: int, layout: Layout) -> None:
        self.num_slots = num_slots

    def score(self, labels: NDArray[np.uint16]) -> NDArray[np.float64]:
        return np.zeros((self.num_slots, len(labels)))
