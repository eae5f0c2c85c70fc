"""Muon on the hidden matrices and AdamW on all else, for N models at once, each with its own learning rate.

Muon: Jordan et al. 2024, "Muon: an optimizer for hidden layers" (momentum, then an approximate orthogonalisation by
five Newton-Schulz steps). `torch.optim.Muon` serves one model; here all matrices of one shape, over layers and
models, go through one batched iteration, in float32 or, as the reference implementation does, in bfloat16.
"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from .optimizer_config import OptimizerConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # quintic coefficients of the reference implementation


def norm_N(tensors: Iterable[Tensor]) -> Tensor:
    """Norm over all tensors (N, *shape) of each model -> (N,). The sum runs along rows: torch sums columns in an order
    that depends on how many there are, so that a model's result would depend on how many models are beside it."""
    return torch.stack([value.flatten(1).square().sum(1) for value in tensors], 1).sum(1).sqrt()


def orthogonalise(update: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly (singular values in about .7 to 1.2). update: (matrices, rows,
    columns) -> the same shape and type."""
    a, b, c = NEWTON_SCHULZ
    tall = update.shape[1] > update.shape[2]
    x = update.mT if tall else update
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Placement:
    """Where the tensors of models are: in full, in this process. For other placements see `lm/target/placement.py`."""

    def full_shape(self, name: str, parameter: Tensor) -> torch.Size:
        """Full shape (N, *shape) of a parameter, however much of it is in this process."""
        return parameter.shape

    def rows(self, total: int) -> slice:
        """Which rows of a tensor with `total` rows are in this process."""
        return slice(0, total)

    def orthogonalise(self, update: Tensor, shape: torch.Size) -> Tensor:
        """`orthogonalise` of matrices whose full shape is `shape` (N, rows, columns): this process's part of the
        result, as float32."""
        return orthogonalise(update).float()

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        """Norm over all tensors (N, *shape) of each model -> (N,)."""
        return norm_N(tensors)


class StackedOptimizer:
    """Optimiser of stacked parameters (N, *shape), by their names in the model.

    Matrices (N, rows, columns) take Muon, unless named in `tables` (embeddings and the head); these and the rest take
    AdamW without decay. `products`: type of Muon's matrix products; `placement`: where the parameters are."""

    def __init__(
        self,
        parameters: dict[str, nn.Parameter],
        tables: set[str],
        config: OptimizerConfig,
        products: torch.dtype = torch.float32,
        placement: Placement | None = None,
    ) -> None:
        self.config, self.products, self.placement = config, products, placement or Placement()
        first = next(iter(parameters.values()))
        self.steps_N = torch.zeros(len(first), device=first.device)
        self.matrices: dict[torch.Size, list[str]] = defaultdict(list)
        self.others: list[str] = []
        self.parameters = parameters
        self.state: dict[str, Tensor] = {}
        for name, parameter in parameters.items():
            if parameter.ndim == 3 and name not in tables:
                self.matrices[self.placement.full_shape(name, parameter)].append(name)
                self.state[f"momentum.{name}"] = torch.zeros_like(parameter)
            else:
                self.others.append(name)
                self.state[f"first.{name}"] = torch.zeros_like(parameter)
                self.state[f"second.{name}"] = torch.zeros_like(parameter)

    def reset(self, model: int) -> None:
        """Forget the moments of one model."""
        self.steps_N[model] = 0
        for value in self.state.values():
            value[model] = 0

    @torch.no_grad()
    def step(self, lr_fraction_N: Tensor) -> None:
        """One update from the parameters' gradients; lr_fraction_N: (N,) share of the peak learning rates."""
        self.steps_N += 1
        if self.config.clip_norm is not None:
            self._clip(self.config.clip_norm)
        for shape, names in self.matrices.items():
            self._muon(names, shape, lr_fraction_N)
        self._adam(self.others, lr_fraction_N)

    def _clip(self, max_norm: float) -> None:
        grads = [_gradient(parameter) for parameter in self.parameters.values()]
        share_N = (max_norm / (self.placement.norm_N(grads) + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
        for grad in grads:
            grad.mul_(share_N.view((-1,) + (1,) * (grad.ndim - 1)))

    def _muon(self, names: list[str], shape: torch.Size, lr_fraction_N: Tensor) -> None:
        momentum = self.config.momentum
        grads = [_gradient(self.parameters[name]) for name in names]
        buffers = [self.state[f"momentum.{name}"] for name in names]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        nesterov = torch._foreach_lerp(grads, buffers, momentum)
        update = self.placement.orthogonalise(torch.cat(nesterov).to(self.products), shape)
        update = update.view(len(names), *grads[0].shape)
        scale = max(1.0, shape[1] / shape[2]) ** 0.5
        update *= (-self.config.muon_lr * scale * lr_fraction_N).view(1, -1, 1, 1)
        torch._foreach_add_([self.parameters[name].data for name in names], list(update.unbind()))

    def _adam(self, names: list[str], lr_fraction_N: Tensor) -> None:
        beta1, beta2 = self.config.adam_betas
        parameters = [self.parameters[name] for name in names]
        grads = [_gradient(parameter) for parameter in parameters]
        firsts, seconds = ([self.state[f"{moment}.{name}"] for name in names] for moment in ("first", "second"))
        torch._foreach_lerp_(firsts, grads, 1 - beta1)
        torch._foreach_mul_(seconds, beta2)
        torch._foreach_addcmul_(seconds, grads, grads, value=1 - beta2)
        roots = torch._foreach_sqrt(seconds)
        torch._foreach_add_(roots, self.config.epsilon)
        correction_N = (1 - beta2**self.steps_N).sqrt()
        rate_N = -self.config.adam_lr * lr_fraction_N / (1 - beta1**self.steps_N) * correction_N
        rates = [rate_N.view((-1,) + (1,) * (parameter.ndim - 1)) for parameter in parameters]
        torch._foreach_addcmul_([parameter.data for parameter in parameters], rates, torch._foreach_div(firsts, roots))


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "step() needs gradients: call backward first"
    return parameter.grad
