"""The agent that selects nothing: weight on it is weight on the natural mixture."""

import numpy as np
from numpy.typing import NDArray

from .base import Agent


class NullAgent(Agent):
    """Priority zero everywhere."""

    def __init__(self, num_slots: int) -> None:
        self.name, self.num_slots = "null", num_slots

    def score(self, labels: NDArray[np.uint16]) -> NDArray[np.float64]:
        return np.zeros((self.num_slots, len(labels)))
