"""What one model, wherever it is trained, is measured by: the losses and influence of a Backend's windows."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ..backend import Floats, Ids
from ..corpus.windows import Windows
from .influence import InPlace


class Measured(ABC):
    """The measuring half of a Backend of one model, in the Backend's terms."""

    num_slots = 1
    windows: Windows
    influence_step: float

    @property
    @abstractmethod
    def measured(self) -> InPlace:
        """The model."""

    def fetch(self, ids: Ids) -> Tensor:
        """Tokens of windows, padded with -100."""
        return torch.from_numpy(self.windows.fetch(ids))

    def evaluate(self, windows: Ids, averaged: bool) -> Floats:
        tokens, model = self.fetch(windows), self.measured
        if not averaged:
            return _array(model.evaluate(tokens))
        with model.holding(model.average):
            return _array(model.evaluate(tokens))

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        tokens = self.fetch(reference), torch.from_numpy(weight).float(), self.fetch(probe)
        slope, loss, alone = self.measured.influence(*tokens, self.influence_step, stride)
        return _array(slope), _array(loss), _array(alone)


def _array(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()
