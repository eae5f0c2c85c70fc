"""A learned policy outside the algorithm that learned it: numpy in, weights out."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...env.observation.features import AGENT_FEATURES, TRAINING_FEATURES, column
from ...env.observation.observation import Observation
from ..actors.actor import Actor, ObservationTensors
from ..actors.actor_config import AGENT_BY_NAME
from ..base import Policy, Weights, others
from .card import PolicyCard

MARGIN = 0.25  # of a range's width: how far beyond it a feature may lie without a warning (assumed)


def observed_values(actor: Actor, observation: Observation) -> dict[str, NDArray[np.float32]]:
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
    """An actor with its action map, and the card of how it was learned."""

    actor: Actor
    card: PolicyCard

    def __post_init__(self) -> None:
        self.name = f"learned-{self.card.algorithm}"
        self._warned: set[str] = set()
        self._kept: Weights | None = None

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self.actor.bind(agents)
        self._kept = None

    def act(self, observation: Observation) -> Weights:
        if self._kept is not None:
            return self._kept.copy()
        self._warn_beyond_training(observation)
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

    def _warn_beyond_training(self, observation: Observation) -> None:
        """One warning for all features that lie beyond their range for the first time."""
        said = []
        for name, values in observed_values(self.actor, observation).items():
            if name in self._warned or name not in self.card.ranges or not len(values):
                continue
            low, high = self.card.ranges[name]
            margin = MARGIN * (high - low) + 1e-6
            beyond = (values < low - margin) | (values > high + margin)
            if beyond.any():
                self._warned.add(name)
                said.append(f"{name} is {values[beyond][0]:.3g}, {low:.3g} to {high:.3g} in training")
        if said:
            warnings.warn(
                f"policy '{self.name}' may choose badly here, compare it with 'agreement': {'; '.join(said)}",
                stacklevel=3,
            )
