"""What a policy sees of N runs, and how the environments' dictionaries of arrays hold it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import AGENT_FEATURES

Batch = dict[str, np.ndarray]


@dataclass(frozen=True)
class Observation:
    """What N policies see. agents: (N, K, F) float32, F = len(AGENT_FEATURES), row 0 the null agent, the row of an
    absent agent 0; mask: (N, K) bool, True where the agent takes weight; statistics: (N, len(TRAINING_FEATURES))
    float32, of each run as a whole."""

    agents: NDArray[np.float32]
    mask: NDArray[np.bool_]
    statistics: NDArray[np.float32]

    def run(self, index: int) -> "Observation":
        """The observation of run `index` alone, as N = 1."""
        return self.runs(slice(index, index + 1))

    def runs(self, part: slice) -> "Observation":
        """The observation of some of the runs."""
        return Observation(self.agents[part], self.mask[part], self.statistics[part])

    def as_batch(self) -> Batch:
        """Fresh float32 arrays under the names of the environments' space; rows of agents flattened, because
        Stable-Baselines3 takes a matrix for a broken image."""
        return {
            "agents": self.agents.reshape(len(self.agents), -1).copy(),
            "mask": self.mask.astype(np.float32),
            "statistics": self.statistics.copy(),
        }

    @classmethod
    def of_batch(cls, batch: Batch) -> "Observation":
        """The observation that `as_batch` gave."""
        mask = batch["mask"] > 0.5
        return cls(batch["agents"].reshape(*mask.shape, len(AGENT_FEATURES)), mask, batch["statistics"])
