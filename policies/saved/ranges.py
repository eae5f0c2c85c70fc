"""Keeps the range of every feature that an actor read while it learned."""

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from ...env.observation.observation import Observation
from ..actors.actor import Actor
from .learned import observed_values

Ranges = dict[str, tuple[float, float]]


def widest(one: Ranges, other: Ranges) -> Ranges:
    """The ranges that hold both, feature by feature."""
    both = {
        name: (min(low, other[name][0]), max(high, other[name][1]))
        for name, (low, high) in one.items()
        if name in other
    }
    return one | other | both


class FeatureRanges(BaseCallback):
    """`ranges`: (lowest, highest) of each feature that `actor` reads, over all of the learning, for the card."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor
        self.ranges: Ranges = {}

    def _on_rollout_start(self) -> None:
        self._widen(self.model._last_obs)  # type: ignore[arg-type]

    def _on_step(self) -> bool:
        self._widen(self.locals["new_obs"])
        return True

    def _widen(self, batch: dict[str, np.ndarray]) -> None:
        for name, values in observed_values(self.actor, Observation.of_batch(batch)).items():
            low, high = self.ranges.get(name, (np.inf, -np.inf))
            if len(values):
                self.ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
