"""What an agent is: it labels every document with one of its categories and gives each category a priority."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Annotation:
    """One agent's labels of every document. labels: (D,) uint16 below len(names); names: the categories';
    values: (C,) a static priority of each category (any unit), or None where only feedback can give one."""

    labels: NDArray[np.uint16]
    names: tuple[str, ...]
    values: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Feedback:
    """What a probe of P windows told about N runs. labels: (N, P, A) uint16, one label column an agent that labels;
    share: (N, P) weight of each probe window so that weighted means estimate means over the corpus's tokens (rows sum
    to 1); loss: (N, P) nats per token; influence: (N, P) gradient inner product with the reference loss's gradient in
    units of its root mean square over the probe, positive = training on it lowers the reference loss;
    reference_loss: (N,) nats per token. A run without a usable probe has NaN influence in all P."""

    labels: NDArray[np.uint16]
    share: NDArray[np.float64]
    loss: NDArray[np.float64]
    influence: NDArray[np.float64]
    reference_loss: NDArray[np.float64]


class Agent(ABC):
    """One data-selection method in N runs at once. Its memory, where it has one, is arrays with a leading N."""

    name: str
    moves: bool = False

    @abstractmethod
    def score(self, labels: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Priorities of M things that carry labels (M, A), for each of the N runs -> (N, M). Any unit and origin."""

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what the runs `slots` taught; static agents have nothing to forget."""

    def update(self, feedback: Feedback) -> None:
        """Learn from one probe of all N runs; static agents ignore it."""

    def state_dict(self) -> dict[str, NDArray]:
        """Arrays that `load_state_dict` restores exactly."""
        return {}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
