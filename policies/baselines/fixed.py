"""Policies that never change their weights: natural, uniform, one agent alone."""

import numpy as np

from ...env.observation.observation import Observation
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..base import Policy, Weights, mix, others


class Natural(Policy):
    """All weight on null: no selection."""

    name = "natural"

    def act(self, observation: Observation) -> Weights:
        return mix(0.0, others(observation.mask).astype(np.float64), observation.mask)

    def describe(self) -> str:
        return "no selection: all weight on null"


class Uniform(Policy):
    """Strength 1, the same weight on every agent that is present."""

    name = "uniform"

    def act(self, observation: Observation) -> Weights:
        return mix(1.0, others(observation.mask).astype(np.float64), observation.mask)

    def describe(self) -> str:
        return "strength 1, equal weight on every agent but null"


class SingleAgent(Policy):
    """Strength 1, all on one agent; natural in a run where that agent is absent."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.name = f"only:{agent}"
        self._place = 0

    def reset(self, agents: tuple[str, ...], num_runs: int) -> None:
        if self.agent not in agents:
            raise InputError(f"policy '{self.name}': no agent '{self.agent}' here; {nearest(self.agent, agents)}")
        self._place = agents.index(self.agent)

    def act(self, observation: Observation) -> Weights:
        shares = np.zeros(observation.mask.shape)
        shares[:, self._place] = others(observation.mask)[:, self._place]
        return mix(1.0, shares, observation.mask)

    def describe(self) -> str:
        return f"strength 1, all on agent '{self.agent}'"
