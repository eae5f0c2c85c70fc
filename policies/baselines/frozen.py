"""A policy whose weights stay after some decisions: compared with itself, it shows what feedback gains."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...env.observation.observation import Observation
from ...lm.io.errors import InputError
from ...lm.io.state import nested, under
from ..base import Policy, Weights


@dataclass
class Frozen(Policy):
    """As `inner` for the first `decisions` of them; then the weights of the last of these for good."""

    inner: Policy
    decisions: int
    made: int = field(default=0, init=False, repr=False)
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.decisions < 1:
            raise InputError(f"frozen after {self.decisions} decisions, expected at least 1")
        self.name = f"frozen-{self.decisions}:{self.inner.name}"

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.inner.reset(agents, num_runs)
        self.made, self.weights = 0, np.zeros((num_runs, len(agents)))

    def act(self, observation: Observation) -> Weights:
        if self.made < self.decisions:
            self.weights = self.inner.act(observation)
            self.made += 1
        return self.weights.copy()

    def describe(self) -> str:
        return f"{self.inner.describe()}; as it was after decision {self.decisions}"

    def state_dict(self) -> dict[str, NDArray]:
        own = {"made": np.array(self.made), "weights": self.weights.copy()}
        return own | nested("inner", self.inner.state_dict())

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.made, self.weights = int(state["made"]), state["weights"].copy()
        self.inner.load_state_dict(under("inner", state))
