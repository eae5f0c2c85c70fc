"""The map from a reinforcement-learning action to console weights.

w = (1 - floor) * softmax(log base + scale * action) + floor / K, over the K agents that are present. The softmax is a
part of the environment, and action 0 is a safe base mixture.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError


@dataclass(frozen=True)
class ActionMap:
    """From actions to weights. The defaults are assumed, not tuned."""

    scale: float = 4.0
    """nats of log-weight that an action of 1 adds"""
    floor: float = 0.02
    """share of the weight that is spread evenly over the present agents"""
    base_null: float = 0.75
    """weight of null at action 0; the others share the rest equally"""

    def __post_init__(self) -> None:
        if not (0 < self.scale <= 100 and 0 <= self.floor < 1 and 0 < self.base_null < 1):
            raise InputError(
                f"action map has scale {self.scale}, floor {self.floor}, base_null {self.base_null}; expected scale in "
                "(0, 100], floor in [0, 1), base_null in (0, 1)"
            )

    def base(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The mixture at action 0 before the floor, (N, K); a run's sums to 1. mask: (N, K), null present."""
        others = np.maximum(mask[:, 1:].sum(1, keepdims=True), 1)
        base = np.where(mask, (1 - self.base_null) / others, 0.0)
        base[:, 0] = np.where(mask[:, 1:].any(1), self.base_null, 1.0)
        return base

    def weights(self, action: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Actions (N, K) in [-1, 1] -> weights (N, K) on the simplex, exactly 0 for absent agents."""
        with np.errstate(divide="ignore"):
            logits = np.log(self.base(mask)) + self.scale * np.clip(action, -1, 1)
        logits -= logits.max(1, keepdims=True)
        share = np.exp(logits)
        share /= share.sum(1, keepdims=True)
        return (1 - self.floor) * share + self.floor * mask / mask.sum(1, keepdims=True)
