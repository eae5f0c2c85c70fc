"""What a learner changes: a small module that turns observations into actions, for any number of agents."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...env.console.action_map import ActionMap
from ...env.observation.features import Feature
from ...env.observation.observation import Observation


class ObservationTensors(NamedTuple):
    """What actors take, in this order. agents: (N, K, F) float32; mask: (N, K) bool; statistics: (N, S) float32; F and
    S are the numbers of AGENT_FEATURES and TRAINING_FEATURES."""

    agents: Tensor
    mask: Tensor
    statistics: Tensor

    @classmethod
    def of(cls, observation: Observation) -> "ObservationTensors":
        """The same as tensors, which share memory with the arrays where they can."""
        arrays = (observation.agents, observation.mask, observation.statistics)
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


class Actor(nn.Module, ABC):
    """A module from observations to actions.

    architecture: the name it is saved under; config: a frozen dataclass that, with the arrays, makes it again;
    decides_once: whether it was learned from first observations alone, so that its first weights are kept."""

    architecture: ClassVar[str]
    decides_once: ClassVar[bool] = False
    config: Any

    def __init__(self, action_map: ActionMap) -> None:
        super().__init__()
        self.action_map = action_map

    @abstractmethod
    def log_weights(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """Logarithms of the weights meant, up to a constant, before clipping and the action map's floor, (N, K)."""

    def bind(self, agents: tuple[str, ...]) -> None:
        """Called before an episode with the agents in the observation's order. InputError if it cannot serve them."""

    def observed(self) -> dict[str, Feature]:
        """Every feature of the observation that it reads, by its name there."""
        return {}

    def forward(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        """Actions (N, K) in [-1, 1], 0 for absent agents."""
        return as_actions(self.log_weights(agents, mask, statistics), mask, self.action_map)

    @torch.no_grad()
    def weights(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> NDArray[np.float64]:
        """Weights on the simplex, (N, K): those that its actions mean."""
        return self.weights_of(self(agents, mask, statistics), mask)

    def weights_of(self, actions: Tensor, mask: Tensor) -> NDArray[np.float64]:
        """The weights that these actions mean in the environment, (N, K)."""
        return self.action_map.weights(actions.numpy().astype(np.float64), mask.numpy())


def log_base(mask: Tensor, action_map: ActionMap) -> Tensor:
    """Log-weights that action 0 means before the floor, (N, K), as `ActionMap.base`; of absent agents as of present."""
    present = mask[:, 1:].sum(1, keepdim=True)
    base = torch.full(mask.shape, math.log(1 - action_map.base_null)) - present.clamp(min=1).log()
    base[:, 0] = torch.where(present[:, 0] > 0, math.log(action_map.base_null), 0.0)
    return base


def as_actions(log_weights: Tensor, mask: Tensor, action_map: ActionMap) -> Tensor:
    """The actions (N, K) in [-1, 1] that come nearest to meaning these weights; 0 for absent agents."""
    action = (log_weights - log_base(mask, action_map)) / action_map.scale
    # A common shift changes no weight. Centre the range; if it is too wide, it is the lowest weights that clip.
    highest = action.masked_fill(~mask, -math.inf).amax(1, keepdim=True)
    lowest = action.masked_fill(~mask, math.inf).amin(1, keepdim=True)
    shift = torch.maximum((highest + lowest) / 2, highest - 1)
    return (action - shift).clamp(-1, 1).masked_fill(~mask, 0.0)


def as_weights(actions: Tensor, mask: Tensor, action_map: ActionMap) -> Tensor:
    """`ActionMap.weights` in torch, (N, K): for graphs, with the precision of the actions."""
    logits = (log_base(mask, action_map) + action_map.scale * actions).masked_fill(~mask, -torch.inf)
    even = mask / mask.sum(1, keepdim=True)
    return (1 - action_map.floor) * logits.softmax(1) + action_map.floor * even


def other_agents(mask: Tensor) -> Tensor:
    """The agents that are present and not null."""
    return torch.cat([torch.zeros_like(mask[:, :1]), mask[:, 1:]], 1)
