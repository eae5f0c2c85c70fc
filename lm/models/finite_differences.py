"""Influence of windows on reference losses, by finite differences along the reference gradients."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from .optimizer import norm_N


class Differentiable(ABC):
    """N models that give gradients and can hold other weights for a moment. Parameters are (N, *shape), by name;
    `average`: the running average of their weights, as `parameters`. All of it is float32: a step of a thousandth of
    the weights is lost in bfloat16's eight bits."""

    parameters: dict[str, nn.Parameter]
    average: dict[str, Tensor]

    @abstractmethod
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token -> (N, W)."""

    @abstractmethod
    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        """Gradient of each model's mean loss over its windows, by parameter (N, *shape)."""

    @abstractmethod
    def holding(self, weights: dict[str, Tensor]) -> AbstractContextManager[None]:
        """Inside, the models hold these weights in place of their own."""

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        """Norm over all tensors (N, *shape) of each model -> (N,)."""
        return norm_N(tensors)

    def influence(
        self, reference: Tensor, group_weight: Tensor, probe_NPL: Tensor, step: float, stride: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As a Backend's, of tokens: reference (N, groups, W, L), group_weight (N, groups). Derivatives of the probe
        windows' losses along the reference gradients.

        The plain gradient is used. The optimiser's own step from that gradient predicts better what one real step does
        with a million parameters late in training (rank correlation .92 to .85 by document, .93 to .90 by category),
        but not on the default proxies (.90 to .91 by category), where no console gained by it:
        experiments/results/influence.md. The influence on one group alone is a one-sided difference, at half the price:
        only agreement by task depends on it. No more than two gradients are held at once.
        """
        num_groups, some_NPL = reference.shape[1], probe_NPL[:, ::stride]
        if num_groups == 1:
            gradient = self.gradient(reference[:, 0])
            total = {name: value * _broadcastable(group_weight[:, 0], value) for name, value in gradient.items()}
            slope_NP, loss_NP = self.slopes(total, probe_NPL, step)
            return slope_NP, loss_NP, slope_NP[:, None, ::stride] / group_weight[..., None].to(slope_NP)
        total = {name: torch.zeros_like(parameter.data) for name, parameter in self.parameters.items()}
        before_NP, by_group = self.evaluate(some_NPL), []
        for group in range(num_groups):
            gradient = self.gradient(reference[:, group])
            for name, value in gradient.items():
                total[name].addcmul_(value, _broadcastable(group_weight[:, group], value))
            factor_N = self._step_factor(gradient, step)
            by_group.append((self._losses_moved(gradient, some_NPL, factor_N) - before_NP) / factor_N[:, None])
            del gradient, value  # or the next one would be a third
        slope_NP, loss_NP = self.slopes(total, probe_NPL, step)
        return slope_NP, loss_NP, torch.stack(by_group, 1)

    def slopes(self, direction: dict[str, Tensor], probe_NPL: Tensor, step: float) -> tuple[Tensor, Tensor]:
        """Directional derivative of each probe window's loss along `direction`, by a central difference over weights
        moved by `step` x the norm of the weights -> (slope, loss), each (N, P)."""
        factor_N = self._step_factor(direction, step)
        ahead, behind = (self._losses_moved(direction, probe_NPL, sign * factor_N) for sign in (1.0, -1.0))
        return (ahead - behind) / (2 * factor_N[:, None]), (ahead + behind) / 2

    def _step_factor(self, direction: dict[str, Tensor], step: float) -> Tensor:
        """What to multiply `direction` by so that its norm is `step` x the norm of the weights, (N,)."""
        weights = [parameter.data for parameter in self.parameters.values()]
        return step * self.norm_N(weights) / self.norm_N(direction.values()).clamp(min=1e-20)

    def _losses_moved(self, direction: dict[str, Tensor], tokens_NWL: Tensor, factor_N: Tensor) -> Tensor:
        """Window losses (N, W) with the weights moved by `factor_N` times `direction`."""
        with self.moved(direction, factor_N):
            return self.evaluate(tokens_NWL)

    @contextmanager
    def moved(self, direction: dict[str, Tensor], factor_N: Tensor) -> Iterator[None]:
        """Inside, the models' weights are moved by `factor_N` times `direction`."""
        moved = {
            name: torch.addcmul(parameter.data, direction[name], _broadcastable(factor_N, parameter))
            for name, parameter in self.parameters.items()
        }
        with self.holding(moved):
            yield


class DifferentiableInPlace(Differentiable):
    """Models whose tensors are shared with other code, so that only the tensors' content can change: while they hold
    other weights, one copy of their own is kept."""

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        with self._restoring():
            for name, parameter in self.parameters.items():
                parameter.data.copy_(weights[name])
            yield

    @contextmanager
    def moved(self, direction: dict[str, Tensor], factor_N: Tensor) -> Iterator[None]:
        with self._restoring():
            for name, parameter in self.parameters.items():
                parameter.data.addcmul_(direction[name], _broadcastable(factor_N, parameter))
            yield

    @contextmanager
    def _restoring(self) -> Iterator[None]:
        """Put the weights back at the end."""
        own = {name: parameter.data.clone() for name, parameter in self.parameters.items()}
        try:
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data.copy_(own[name])


def _broadcastable(of_N: Tensor, value: Tensor) -> Tensor:
    """(N,) -> (N, 1, ...), with as many axes as `value` has, on its device."""
    return of_N.to(value.device).view((-1,) + (1,) * (value.ndim - 1))
