"""Online Data Mixing's bandit over the agents, as a rival that learns within one run alone."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...env.observation.features import AGENT_FEATURES, column
from ...env.observation.observation import Observation
from ...lm.io.errors import InputError
from ..base import Policy, Weights, check_reset, mix, others
from .rules import check_strength

PAPER_REWARD = column(AGENT_FEATURES, "paper_reward")


@dataclass
class Exp3(Policy):
    """EXP3 in the manner of Online Data Mixing (Albalak et al., arXiv 2312.02406): each decision t adds to the estimate
    of every arm a moving average of its reward over its share, and shares are a softmax of rate x K x eps_t x
    estimates, mixed with eps_t = min(1/K, sqrt(ln K / (K t))) of exploration an arm.

    Departures: the arms are agents, not domains, and what an arm pays is its R_A of the last probe (the observation's
    `paper_reward`, in units of the influence's root mean square), not its training loss, which pays for hard text. The
    weight of null is the constant 1 - strength."""

    rate: float = 3.0
    smoothing: float = 0.5
    strength: float = 0.35
    name: str = field(default="exp3", init=False)
    shares: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)
    estimate: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)), init=False, repr=False)
    decisions: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        check_strength(self.strength)
        if not (0 <= self.rate < np.inf and 0 <= self.smoothing < 1):
            raise InputError(
                f"rate {self.rate}, smoothing {self.smoothing}: expected a number from 0 up, and one from 0 to below 1"
            )

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.estimate, self.decisions = np.zeros((num_runs, len(agents))), 0
        self.shares = np.ones((num_runs, len(agents)))

    def act(self, observation: Observation) -> Weights:
        present = others(observation.mask)
        check_reset(self, self.estimate.shape, observation)
        count = np.maximum(present.sum(1, keepdims=True), 1)
        if self.decisions == 0:
            self.shares = present / count
        reward = np.where(present, observation.agents[..., PAPER_REWARD].astype(np.float64), 0.0)
        paid = reward / np.maximum(self.shares * count, 1e-6)  # an even share is paid as it is
        self.estimate = self.smoothing * self.estimate + (1 - self.smoothing) * paid
        self.decisions += 1
        explore = np.minimum(1 / count, np.sqrt(np.log(np.maximum(count, 2)) / (count * self.decisions)))
        logits = np.where(present, self.rate * explore * count * self.estimate, -np.inf)
        highest = np.where(present.any(1), logits.max(1), 0.0)[:, None]
        odds = np.exp(logits - highest)
        greedy = odds / np.maximum(odds.sum(1, keepdims=True), 1e-300)
        self.shares = np.where(present, (1 - count * explore) * greedy + explore, 0.0)
        return mix(self.strength, self.shares, observation.mask)

    def describe(self) -> str:
        return f"EXP3 over the agents, rate {self.rate:g}, strength {self.strength:g}"

    def state_dict(self) -> dict[str, NDArray]:
        return {"shares": self.shares.copy(), "estimate": self.estimate.copy(), "decisions": np.array(self.decisions)}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.shares, self.estimate = state["shares"].copy(), state["estimate"].copy()
        self.decisions = int(state["decisions"])
