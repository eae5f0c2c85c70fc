"""Agents with the paper's memory: a priority a category, moved by measured influence (domain, topic)."""

import numpy as np
from numpy.typing import NDArray

from .base import Agent, Feedback


class MemoryAgent(Agent):
    """arXiv 2410.08102 eq. 4: w_j <- (1 - eta) w_j + eta R_j, R_j the mean influence of the probe windows in category
    j (the text's moving average; the released code applies it once a sample). Departures: influence comes in units of
    its root mean square over the probe, and a category the probe missed keeps its priority. Starts at zero.

    `eta` is not printed in the paper; its code has .1 for four updates. .3 here (assumed: about ten updates a run)."""

    moves = True

    def __init__(self, name: str, column: int, num_categories: int, num_slots: int, eta: float = 0.3) -> None:
        self.name, self.column, self.eta = name, column, eta
        self.memory_NC = np.zeros((num_slots, num_categories))

    def score(self, labels: NDArray[np.uint16]) -> NDArray[np.float64]:
        return self.memory_NC[:, labels[:, self.column]]

    def reset(self, slots: NDArray[np.intp]) -> None:
        self.memory_NC[slots] = 0

    def update(self, feedback: Feedback) -> None:
        usable = np.isfinite(feedback.influence).all(axis=1, keepdims=True)
        label_NP = feedback.labels[:, :, self.column]
        one_hot = label_NP[:, :, None] == np.arange(self.memory_NC.shape[1])
        weight = one_hot * feedback.share[:, :, None]
        total = weight.sum(1)
        mean = np.einsum("npc,np->nc", weight, np.nan_to_num(feedback.influence)) / np.maximum(total, 1e-12)
        moved = (1 - self.eta) * self.memory_NC + self.eta * mean
        self.memory_NC = np.where((total > 0) & usable, moved, self.memory_NC)

    def state_dict(self) -> dict[str, NDArray]:
        return {"memory": self.memory_NC.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.memory_NC = state["memory"].copy()
