"""How a model is trained: schedule, optimiser, average of the weights and precision."""

from dataclasses import dataclass, field

import torch

from ..backend import Schedule
from .optimizer_config import OptimizerConfig


@dataclass(frozen=True)
class TrainConfig:
    """How each model is trained. `average_half_life`: steps, of the running average of the weights on which mid-run
    losses are measured; `influence_step`: length of the finite-difference step over the norm of the weights;
    `products`: type of the matrix products of a training step."""

    schedule: Schedule
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    average_half_life: float = 8.0
    influence_step: float = 1e-3
    products: torch.dtype = torch.float32
