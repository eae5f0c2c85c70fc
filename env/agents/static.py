"""Agents whose priorities never move: a value a category, known before training (quality, match, score columns)."""

import numpy as np
from numpy.typing import NDArray

from ...lm.errors import InputError
from .base import Agent


class StaticAgent(Agent):
    """Priority of a document = the value of its category in label column `column`."""

    def __init__(self, name: str, column: int, values: tuple[float, ...] | None, num_slots: int) -> None:
        if values is None or not np.isfinite(values).all():
            raise InputError(
                f"agent '{name}' is static but its categories have no finite values: label the corpus anew"
            )
        self.name, self.column, self.num_slots = name, column, num_slots
        self.values_C = np.asarray(values, np.float64)

    def score(self, labels: NDArray[np.uint16]) -> NDArray[np.float64]:
        return np.broadcast_to(self.values_C[labels[:, self.column]], (self.num_slots, len(labels)))
