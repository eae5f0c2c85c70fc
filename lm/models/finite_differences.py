"""Influence of windows on reference losses, of models that can tell a gradient and hold other weights for a moment."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from .optimizer import norm_N


class Differentiable(ABC):
    """N models with parameters (N, *shape), by name. What is here is float32 throughout: a step of a thousandth of the
    weights is lost in bfloat16's eight bits."""

    parameters: dict[str, nn.Parameter]

    @abstractmethod
    def evaluate(self, tokens_NBT: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token -> (N, B)."""

    @abstractmethod
    def gradient(self, tokens_NBT: Tensor) -> dict[str, Tensor]:
        """Of each model's mean loss over its windows, by parameter (N, *shape)."""

    @abstractmethod
    def holding(self, weights: dict[str, Tensor]) -> AbstractContextManager[None]:
        """Inside, the models hold these weights in place of their own."""

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        """Norm over all tensors (N, *shape) of each model -> (N,)."""
        return norm_N(tensors)

    def influence(
        self, reference_NGRT: Tensor, weight_NG: Tensor, probe_NPT: Tensor, step: float, stride: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As a Backend's: derivatives of probe windows' losses along reference gradients.

        Of the plain gradient. What the optimiser makes of it tells better what one real step does with a million
        parameters late in training (rank correlation .92 to .85 by document, .93 to .90 by category), but not on the
        default proxies (.90 to .91 by category), where no console gained by it: experiments/results/influence.md. Of a
        group alone by a one-sided difference, half the price: only agreement by task comes of it. No more than two
        gradients are held at once.
        """
        num_groups, some = reference_NGRT.shape[1], probe_NPT[:, ::stride]
        if num_groups == 1:
            gradient = self.gradient(reference_NGRT[:, 0])
            total = {name: value * _wide(weight_NG[:, 0], value) for name, value in gradient.items()}
            slope, loss = self.slopes(total, probe_NPT, step)
            return slope, loss, slope[:, None, ::stride] / weight_NG[..., None].to(slope)
        total = {name: torch.zeros_like(parameter.data) for name, parameter in self.parameters.items()}
        here, alone = self.evaluate(some), []
        for group in range(num_groups):
            gradient = self.gradient(reference_NGRT[:, group])
            for name, value in gradient.items():
                total[name].addcmul_(value, _wide(weight_NG[:, group], value))
            move_N = self._reach(gradient, step)
            alone.append((self._moved(gradient, some, move_N) - here) / move_N[:, None])
        slope, loss = self.slopes(total, probe_NPT, step)
        return slope, loss, torch.stack(alone, 1)

    def slopes(self, direction: dict[str, Tensor], probe_NPT: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Directional derivative of each probe window's loss along `direction`, by a central difference over weights
        moved by `step` x the norm of the weights -> (slope, loss), each (N, P)."""
        move_N = self._reach(direction, step)
        ahead, behind = (self._moved(direction, probe_NPT, sign * move_N) for sign in (1.0, -1.0))
        return (ahead - behind) / (2 * move_N[:, None]), (ahead + behind) / 2

    def _reach(self, direction: dict[str, Tensor], step: float) -> Tensor:
        """How many times `direction` is as long as `step` x the weights, (N,)."""
        weights = [parameter.data for parameter in self.parameters.values()]
        return step * self.norm_N(weights) / self.norm_N(direction.values()).clamp(min=1e-20)

    def _moved(self, direction: dict[str, Tensor], tokens_NBT: Tensor, move_N: Tensor) -> Tensor:
        """Window losses (N, B) of weights moved by `move_N` times `direction`."""
        with self.moved(direction, move_N):
            return self.evaluate(tokens_NBT)

    @contextmanager
    def moved(self, direction: dict[str, Tensor], move_N: Tensor) -> Iterator[None]:
        """Inside, the models' weights are moved by `move_N` times `direction`."""
        moved = {
            name: torch.addcmul(parameter.data, direction[name], _wide(move_N, parameter))
            for name, parameter in self.parameters.items()
        }
        with self.holding(moved):
            yield


class InPlace(Differentiable):
    """Models whose tensors others hold too, so that only what is in them can change: one copy of the weights is kept
    while they hold others. `average`: the running average of their weights, as `parameters`."""

    average: dict[str, Tensor]

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        with self._keeping():
            for name, parameter in self.parameters.items():
                parameter.data.copy_(weights[name])
            yield

    @contextmanager
    def moved(self, direction: dict[str, Tensor], move_N: Tensor) -> Iterator[None]:
        with self._keeping():
            for name, parameter in self.parameters.items():
                parameter.data.addcmul_(direction[name], _wide(move_N, parameter))
            yield

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        own = {name: parameter.data.clone() for name, parameter in self.parameters.items()}
        try:
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data.copy_(own[name])


def _wide(of_N: Tensor, value: Tensor) -> Tensor:
    """(N,) -> (N, 1, ...), as many axes and where `value` is."""
    return of_N.to(value.device).view((-1,) + (1,) * (value.ndim - 1))
