"""What an episode asks of the models in training: N proxies, one target, or a surrogate."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Decay = Literal["linear", "cosine"]


@dataclass(frozen=True)
class Schedule:
    """Learning rate over its peak: linear warm-up over `warmup_steps`, flat, decay to 0 over the last `decay_share` of
    `total_steps` (warm-up-stable-decay, arXiv 2404.06395), in a straight line or along half a cosine. By default the
    decay takes all of the steps: on the quickstart's proxy .02 nats better than half of them."""

    total_steps: int
    warmup_steps: int = 20
    decay_share: float = 1.0
    decay: Decay = "linear"

    def fraction(self, steps_done: NDArray[np.int64]) -> Floats:
        """Learning rate over its peak, of the step after `steps_done` (N,): in (0, 1] before the end, then 0."""
        warm = (steps_done + 1) / max(self.warmup_steps, 1)
        left = (self.total_steps - steps_done) / max(self.decay_share * self.total_steps, 1)
        if self.decay == "cosine":
            left = 0.5 - 0.5 * np.cos(np.pi * np.clip(left, 0, 1))
        return np.clip(np.minimum(warm, left), 0.0, 1.0)


class Backend(Protocol):
    """N models in training. It takes window ids and fetches the tokens itself. A model that diverges yields NaN in its
    own slot and nowhere else."""

    num_slots: int
    num_params: int

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        """Put a new model, initialised from `seed`, into `slot`, at step 0 of the schedule. Its peak learning rates are
        `lr_scale` times the usual ones."""

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Floats:
        """Train the slots that `active` (N,) names on windows (N, steps, W), one optimiser step on each W of them; the
        others stay as they are -> mean training loss (N,), nats per token, NaN where not active."""

    def evaluate(self, ids: Ids, averaged: bool) -> Floats:
        """Loss of each window (N, W) -> (N, W), nats per token; `averaged` uses the running average of the weights."""

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        """How much a small step on each probe window (N, P) lowers the reference loss: the gradients' inner product.

        The reference loss is the sum over groups of windows (N, groups, W) of the group's mean loss times its weight
        (N, groups). -> influence and loss (nats per token), each (N, P), and, for every `stride`-th probe window, the
        influence on each group alone, (N, groups, ceil(P / stride))."""

    def learning_rate(self) -> Floats:
        """Learning rate of the coming step over its peak, (N,)."""

    def state_dict(self) -> dict[str, NDArray]:
        """Everything that the coming steps depend on, as arrays with first axis N."""

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave, exactly."""
