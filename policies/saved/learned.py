"""A learned policy outside the algorithm that learned it: numpy in, weights out."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, column
from ...env.observation.observation import Observation
from ..actors.actor_config import AGENT_BY_NAME
from ..base import Policy, Weights, others
from .card import PolicyCard
from .extrapolation import Extrapolation

if TYPE_CHECKING:
    from ..actors.actor import Actor


def observed_values(actor: "Actor", observation: Observation) -> dict[str, NDArray[np.float32]]:
    """Values of each feature the actor reads, over all runs, and all agents but null where it is an agent's."""
    present = others(observation.mask)
    values = {}
    for name in actor.observed():
        if name in AGENT_BY_NAME:
            values[name] = observation.agents[..., column(AGENT_FEATURES, name)][present]
        else:
            values[name] = observation.statistics[:, column(TRAINING_FEATURES, name)]
    return values


@dataclass
class LearnedPolicy(Policy):
    """An actor with its action map, and the card of how it was learned. met: what it saw beyond its training's ranges;
    warns: whether it says so the first time; who sums up over many runs switches that off."""

    actor: "Actor"
    card: PolicyCard

    def __post_init__(self) -> None:
        self.name = f"learned-{self.card.algorithm}"
        self.met, self.warns = Extrapolation(self.card.ranges), True
        self._kept: Weights | None = None

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.actor.bind(agents)
        self.met.begin()
        self._kept = None

    def act(self, observation: Observation) -> Weights:
        from ..actors.actor import ObservationTensors

        if self._kept is not None:
            return self._kept.copy()
        self._look(observation)
        weights = self.actor.weights(*ObservationTensors.of(observation))
        if self.actor.decides_once:
            self._kept = weights.copy()
        return weights

    def state_dict(self) -> dict[str, NDArray]:
        return {} if self._kept is None else {"kept": self._kept.copy()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self._kept = state["kept"].copy() if "kept" in state else None

    def describe(self) -> str:
        return f"{self.actor.architecture} learned with {self.card.algorithm} on {self.card.proxies}"

    def _look(self, observation: Observation) -> None:
        """Count the decision; a warning at the first one outside, once for all the runs that this policy drives."""
        if self.met.look(observed_values(self.actor, observation)) and self.warns:
            self.warns = False
            warnings.warn(
                f"policy '{self.name}' may choose badly here, for it meets what it never met while it learned: "
                f"{self.met.told}. Run `pretraingym compare` with it on this corpus before you trust it, or take the "
                "rule lift in its place",
                stacklevel=3,
            )
