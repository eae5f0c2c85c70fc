"""The measuring half of a Backend that trains one model: losses and influence of its windows."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..backend import Floats, Ids
from ..corpus.windows import Windows
from .finite_differences import Differentiable


class SingleModelBackend(ABC):
    """A Backend of one model. It measures that model here; subclasses train it."""

    num_slots = 1
    windows: Windows
    influence_step: float

    @property
    @abstractmethod
    def measured_model(self) -> Differentiable:
        """The model in training."""

    def fetch(self, ids: Ids) -> Tensor:
        """Tokens of windows, padded with -100."""
        return torch.from_numpy(self.windows.fetch(ids))

    def evaluate(self, ids: Ids, averaged: bool) -> Floats:
        tokens, model = self.fetch(ids), self.measured_model
        if not averaged:
            return _array(model.evaluate(tokens))
        with model.holding(model.average):
            return _array(model.evaluate(tokens))

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        tokens = self.fetch(reference), torch.from_numpy(weight).float(), self.fetch(probe)
        slope, loss, by_group = self.measured_model.influence(*tokens, self.influence_step, stride)
        return _array(slope), _array(loss), _array(by_group)


def _array(tensor: Tensor) -> Floats:
    return tensor.cpu().double().numpy()  # some devices have no float64
