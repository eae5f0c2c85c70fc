"""Weights that depend on nothing but the clock, constant or on a schedule, as a learner can search them."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...env.console.action_map import ActionMap
from ...env.observation.features import TRAINING_FEATURES, column
from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..baselines.constant import family
from .actor import Actor, other_agents

PROGRESS = column(TRAINING_FEATURES, "progress")
START_STRENGTH = 0.35  # the tuned rules'
MAX_KNOTS = 16


@dataclass(frozen=True)
class ScheduleConfig:
    """families: of agents (constant.py), each with a weight; knots: points of the budget, evenly from its beginning to
    its end, between which log-weights are straight lines; one knot: the same weights throughout."""

    families: tuple[str, ...]
    knots: int = 1

    def __post_init__(self) -> None:
        if not self.families or len(set(self.families)) != len(self.families):
            raise InputError(f"families are {list(self.families)}, expected at least one and none twice")
        if not 1 <= self.knots <= MAX_KNOTS:
            raise InputError(f"knots is {self.knots}, expected 1 to {MAX_KNOTS}")


class ScheduleActor(Actor):
    """Weights: null 1 - sigmoid(u), the families sigmoid(u) * softmax(v), in equal parts to those of a family that are
    present; u and v are parameters a knot. It starts with strength .35, spread evenly."""

    architecture = "schedule"
    config: ScheduleConfig

    def __init__(self, config: ScheduleConfig, action_map: ActionMap) -> None:
        super().__init__(action_map)
        self.config = config
        start = torch.logit(torch.tensor(START_STRENGTH))
        self.strength = nn.Parameter(torch.full((config.knots,), float(start)))
        self.shares = nn.Parameter(torch.zeros(config.knots, len(config.families)))
        self._family: list[int] = []

    def bind(self, agents: tuple[str, ...]) -> None:
        for agent in agents[1:]:
            if family(agent) not in self.config.families:
                raise InputError(
                    f"these weights know no agent '{agent}': {nearest(agent, self.config.families)}; search them again"
                )
        self._family = [0, *(self.config.families.index(family(agent)) for agent in agents[1:])]

    def by_family(self, weights_NK: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the agents of each family weigh together, (N, families); null is of none."""
        return np.asarray(weights_NK[:, 1:] @ np.eye(len(self.config.families))[self._family[1:]])

    def log_weights(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        position = statistics[:, PROGRESS].clamp(0, 1) * (self.config.knots - 1)
        left = position.floor().long().clamp(max=max(self.config.knots - 2, 0))
        right, share = (left + 1).clamp(max=self.config.knots - 1), (position - left)[:, None]
        strength = torch.lerp(self.strength[left, None], self.strength[right, None], share)
        logits = torch.lerp(self.shares[left], self.shares[right], share)
        family_K = torch.tensor(self._family)
        other = other_agents(mask)
        same = (family_K[:, None] == family_K) & other[:, None]  # (N, K, K)
        logit = logits[:, family_K] - same.sum(2).clamp(min=1).log()
        logit = logit.masked_fill(~other, -torch.inf).log_softmax(1).nan_to_num(neginf=-1e9, nan=-1e9)
        log_weights = nn.functional.logsigmoid(strength) + logit
        return torch.cat([nn.functional.logsigmoid(-strength), log_weights[:, 1:]], 1)
