"""What an episode asks of whatever is being trained: N proxies, one target, or a surrogate."""

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
    `total_steps` (warm-up-stable-decay, arXiv 2404.06395), in a straight line or along half a cosine. All of it decays
    by default: .02 nats better on the quickstart's proxy than half of it."""

    total_steps: int
    warmup_steps: int = 20
    decay_share: float = 1.0
    decay: Decay = "linear"

    def fraction(self, steps_done: NDArray[np.int64]) -> Floats:
        """Of the step that follows `steps_done` (N,): in (0, 1] before the end, 0 from there on."""
        warm = (steps_done + 1) / max(self.warmup_steps, 1)
        left = (self.total_steps - steps_done) / max(self.decay_share * self.total_steps, 1)
        if self.decay == "cosine":
            left = 0.5 - 0.5 * np.cos(np.pi * np.clip(left, 0, 1))
        return np.clip(np.minimum(warm, left), 0.0, 1.0)


class Backend(Protocol):
    """N models in training. It takes window ids and fetches for itself what it needs of them. A model that diverges
    yields NaN in its own row and nowhere else."""

    num_slots: int
    num_params: int

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        """Put a new model, initialised from `seed`, into `slot`, at step 0 of the schedule; `lr_scale` times the peak
        learning rates."""

    def train(self, windows: Ids, active: NDArray[np.bool_]) -> Floats:
        """One optimiser step a column of the slots that `active` (N,) names, the others untouched: windows (N, steps,
        batch) -> mean training loss (N,), nats per token, NaN where not active."""

    def evaluate(self, windows: Ids, averaged: bool) -> Floats:
        """Loss of each window (N, B) -> (N, B), nats per token; `averaged` uses the running average of the weights."""

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        """How much a small step on each probe window (N, P) lowers the reference loss: the gradients' inner product.

        The reference loss is that of G groups of windows (N, G, R), each the mean of its own, weighted (N, G). ->
        influence and loss (nats per token), each (N, P), and, of every `stride`-th probe window, the influence on each
        group alone, (N, G, ceil(P / stride))."""

    def learning_rate(self) -> Floats:
        """Share of the peak learning rate of the coming step, (N,)."""

    def state_dict(self) -> dict[str, NDArray]:
        """Everything that the coming steps depend on, as arrays with leading axis N."""

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave, exactly."""
