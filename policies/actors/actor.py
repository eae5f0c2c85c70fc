"""What a learner changes: a small module that turns observations into actions, for any number of agents."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...env.console.action_map import ActionMap
from ...env.observation.features import Feature


class Actor(nn.Module, ABC):
    """architecture: the name it is saved under; config: a frozen dataclass that, with the arrays, makes it again;
    decides_once: whether it was learned from first observations alone, so that its first weights are kept."""

    architecture: ClassVar[str]
    decides_once: ClassVar[bool] = False
    config: Any

    def __init__(self, action_map: ActionMap) -> None:
        super().__init__()
        self.action_map = action_map

    @abstractmethod
    def log_weights(self, agents: Tensor, mask: Tensor, training: Tensor) -> Tensor:
        """Logarithms of the weights meant, up to a constant, before clipping and the action map's floor, (B, K)."""

    def bind(self, agents: tuple[str, ...]) -> None:
        """Told before an episode which agents stand in the rows. InputError if it cannot serve them."""

    def observed(self) -> dict[str, Feature]:
        """Every feature of the observation that it reads, by its name there."""
        return {}

    def forward(self, agents: Tensor, mask: Tensor, training: Tensor) -> Tensor:
        """Of agents (B, K, F), mask (B, K) bool and training (B, S): actions (B, K) in [-1, 1], 0 for absent agents."""
        return as_actions(self.log_weights(agents, mask, training), mask, self.action_map)


def log_base(mask: Tensor, action_map: ActionMap) -> Tensor:
    """Log-weights that action 0 means before the floor, (B, K), as `ActionMap.base`; of absent agents as of present."""
    present = mask[:, 1:].sum(1, keepdim=True)
    base = torch.full(mask.shape, math.log(1 - action_map.base_null)) - present.clamp(min=1).log()
    base[:, 0] = torch.where(present[:, 0] > 0, math.log(action_map.base_null), 0.0)
    return base


def as_actions(log_weights: Tensor, mask: Tensor, action_map: ActionMap) -> Tensor:
    """The actions (B, K) in [-1, 1] that come nearest to meaning these weights; 0 for absent agents."""
    action = (log_weights - log_base(mask, action_map)) / action_map.scale
    # A common shift changes no weight. Centre the range; if it is too wide, it is the lowest weights that clip.
    highest = action.masked_fill(~mask, -math.inf).amax(1, keepdim=True)
    lowest = action.masked_fill(~mask, math.inf).amin(1, keepdim=True)
    shift = torch.maximum((highest + lowest) / 2, highest - 1)
    return (action - shift).clamp(-1, 1).masked_fill(~mask, 0.0)


def other_agents(mask: Tensor) -> Tensor:
    """The agents that are present and not null."""
    return torch.cat([torch.zeros_like(mask[:, :1]), mask[:, 1:]], 1)
