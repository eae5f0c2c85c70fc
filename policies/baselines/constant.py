"""Constant weights: the same in every run, by agent or by family of agents."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ...env.observation.observation import Observation
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..base import Policy, Weights, mix, others
from .rules import check_strength


def family(agent: str) -> str:
    """What agents of one method are called together: the name up to a hyphen, as in match-squad."""
    return agent.split("-")[0]


class Constant(Policy):
    """`strength` over the other agents by `shares`, whose keys are agents or families. A family's share goes in equal
    parts to its agents that are present; those that are absent leave theirs to the rest."""

    def __init__(self, strength: float, shares: Mapping[str, float], name: str = "constant") -> None:
        check_strength(strength)
        if not shares or any(not 0 <= share < np.inf for share in shares.values()):
            raise InputError(f"shares are {dict(shares)}, expected numbers from 0 up, at least one")
        self.strength, self.shares, self.name = strength, dict(shares), name
        self._families: list[str] = []

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        self._families = [agent if agent in self.shares else family(agent) for agent in agents]
        for key in self.shares:
            if key not in self._families:
                raise InputError(f"policy '{self.name}': no agent or family '{key}' here; {nearest(key, agents)}")

    def act(self, observation: Observation) -> Weights:
        return mix(self.strength, self._of(others(observation.mask)), observation.mask)

    def _of(self, present_NK: NDArray[np.bool_]) -> Weights:
        total_NK = np.zeros(present_NK.shape)
        for key, share in self.shares.items():
            member_NK = present_NK & np.array([name == key for name in self._families])
            total_NK += share * member_NK / np.maximum(member_NK.sum(1, keepdims=True), 1)
        return total_NK

    def describe(self) -> str:
        parts = ", ".join(f"{name} {share:.2g}" for name, share in self.shares.items())
        return f"constant weights: strength {self.strength:.2g}, shared as {parts}"
