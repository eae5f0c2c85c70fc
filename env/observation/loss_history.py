"""The validation losses of N runs that features look back on."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ...lm.io.state import copies, restore

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass
class LossHistory:
    """Validation losses, nats per token, and tokens spent, each (N,), at the start and the end of the first interval
    and of the last one."""

    first_start_N: Array
    first_end_N: Array
    last_start_N: Array
    last_end_N: Array
    tokens_start_N: Array
    tokens_end_N: Array

    @classmethod
    def of(cls, num_slots: int) -> "LossHistory":
        """The history of runs that have not begun: zeros."""
        return cls(*np.zeros((len(fields(cls)), num_slots)))

    def reset(self, slots: NDArray[np.intp]) -> None:
        self.tokens_start_N[slots] = self.tokens_end_N[slots] = 0

    def begin(self, loss_N: Array, active_N: Bools) -> None:
        """The losses with which the active runs come out of their warm-up."""
        for name in ("first_start_N", "first_end_N", "last_start_N", "last_end_N"):
            setattr(self, name, np.where(active_N, loss_N, getattr(self, name)))

    def begin_interval(self, tokens_N: NDArray[np.int64], active_N: Bools) -> None:
        """The tokens that the active runs had spent when an interval of theirs was drawn."""
        self.tokens_start_N = np.where(active_N, tokens_N, self.tokens_start_N)

    def add(self, loss_N: Array, tokens_N: NDArray[np.int64], first_N: Bools, active_N: Bools) -> None:
        """The losses after an interval of the active runs; of those in `first_N` it was the first."""
        self.first_end_N = np.where(first_N, loss_N, self.first_end_N)
        self.last_start_N = np.where(active_N, self.last_end_N, self.last_start_N)
        self.last_end_N = np.where(active_N, loss_N, self.last_end_N)
        self.tokens_end_N = np.where(active_N, tokens_N, self.tokens_end_N)

    def state_dict(self) -> dict[str, NDArray]:
        return copies(self, (field.name for field in fields(self)))

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        restore(self, (field.name for field in fields(self)), state)
