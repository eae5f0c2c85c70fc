"""A policy that selects only where there is evidence: it stops where the rule lift does."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...env.observation.observation import Observation
from ...lm.io.state import nested, under
from ..base import Policy, Weights
from .fixed import Natural
from .rules import Lift


@dataclass
class Sure(Policy):
    """As `inner`, but natural in every decision in which the rule lift selects nothing: where the agents' sure lift is
    too small, their scores disagree with measured influence, or the validation loss rose (`mix_by_evidence`). A run in
    which that is so throughout is natural's, bit for bit."""

    inner: Policy
    evidence: Lift = field(default_factory=Lift, init=False, repr=False)

    def __post_init__(self) -> None:
        self.name = f"sure:{self.inner.name}"

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.inner.reset(agents, num_runs)

    def act(self, observation: Observation) -> Weights:
        nothing = self.evidence.act(observation)[:, :1] == 1
        return np.where(nothing, Natural().act(observation), self.inner.act(observation))

    def describe(self) -> str:
        return f"{self.inner.describe()}; natural where the rule lift selects nothing"

    def state_dict(self) -> dict[str, NDArray]:
        return nested("inner", self.inner.state_dict())

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.inner.load_state_dict(under("inner", state))
