"""A few language models trained as one: the part of a stack that one thread (or one GPU) works on."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PretrainedConfig

from ..models.causal_lm import ends_in_head, new_model
from ..models.influence import Differentiable
from ..models.optimizer import OptimizerConfig, StackedOptimizer
from .head_loss import IGNORED, mean_losses, token_losses
from .layers import StackedEmbedding, stack_leaves

EVALUATION_ROWS = 256  # rows of one forward pass without gradients: what stays in a core's cache (measured)


class Shard(Differentiable):
    """`num_models` causal LMs of one config, float32 weights, with optimiser and running average of the weights.

    `products`: type of the matrix products of a training step. Losses and influence are float32."""

    def __init__(
        self,
        config: PretrainedConfig,
        optimizer: OptimizerConfig,
        num_models: int,
        average_decay: float,
        device: str,
        products: torch.dtype = torch.float32,
    ) -> None:
        self.config, self.num_models, self.device, self.average_decay = config, num_models, device, average_decay
        self.products = products
        self.model = new_model(config, 0).eval()  # no dropout: a run is a function of its seed, one epoch at most
        bare = ends_in_head(self.model)
        self.parameters = stack_leaves(self.model, num_models)
        self.model.to(device)
        tables = [module for module in self.model.modules() if isinstance(module, StackedEmbedding)]
        head = self.model.get_output_embeddings()
        sparse = {id(table.weight) for table in [*tables, head]}
        names = {name for name, parameter in self.parameters.items() if id(parameter) in sparse}
        self.optimizer = StackedOptimizer(self.parameters, names, optimizer, products)
        self.average = {name: torch.zeros_like(value.data) for name, value in self.parameters.items()}
        self._learned_positions = len(tables) > 1  # such a table must be told whose row is whose
        self._head: nn.Parameter | None = head.weight if bare else None
        if bare:
            self.model.set_output_embeddings(nn.Identity())

    def start(self, index: int, seed: int) -> None:
        fresh = dict(new_model(self.config, seed).named_parameters())
        for name, parameter in self.parameters.items():
            parameter.data[index] = fresh[name].data.to(self.device)
            self.average[name][index] = parameter.data[index]
        self.optimizer.reset(index)

    def _outputs(self, tokens_NBT: Tensor) -> tuple[Tensor, Tensor]:
        """What the head's losses are of, (N, B * (T - 1), D), and the targets (N, B * (T - 1))."""
        num_models, batch, context = tokens_NBT.shape
        rows = tokens_NBT.reshape(num_models * batch, context).to(self.device)
        positions = None
        if self._learned_positions:
            positions = torch.arange(context - 1, device=self.device).expand(len(rows), -1)
        out = self.model(input_ids=rows[:, :-1].clamp(min=0), position_ids=positions, use_cache=False).logits
        return out.reshape(num_models, -1, out.shape[-1]), rows[:, 1:].reshape(num_models, -1)

    def mean_losses(self, tokens_NBT: Tensor, weight_NB: Tensor) -> Tensor:
        """Sum of each model's window losses, weighted, nats per predicted token -> (N,), with gradients. Tokens of -100
        are padding at the right."""
        out, target_NR = self._outputs(tokens_NBT)
        count = (tokens_NBT[:, :, 1:] != IGNORED).to(self.device)
        weight_NR = (count * (weight_NB.to(self.device) / count.sum(2).clamp(min=1))[..., None]).flatten(1)
        return mean_losses(out, self._head, target_NR, weight_NR)

    def train_step(self, tokens_NBT: Tensor, lr_fraction_N: Tensor) -> Tensor:
        """One optimiser step on the token-weighted mean loss of each model's batch -> losses (N,)."""
        count_NB = (tokens_NBT[:, :, 1:] != IGNORED).sum(2).float()
        with torch.autocast(torch.device(self.device).type, self.products, self.products != torch.float32):
            loss_N = self.mean_losses(tokens_NBT, count_NB / count_NB.sum(1, keepdim=True))
        self._backward(loss_N)
        self.optimizer.step(lr_fraction_N.to(self.device))
        self._clear()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.values()), [p.data for p in self.parameters.values()], 1 - self.average_decay
            )
        return loss_N.detach()

    @torch.no_grad()
    def evaluate(self, tokens_NBT: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token, in pieces that fit the cache -> (N, B)."""
        piece = max(1, EVALUATION_ROWS // self.num_models)
        parts = []
        for tokens in tokens_NBT.split(piece, dim=1):
            out, target_NR = self._outputs(tokens)
            count = (tokens[:, :, 1:] != IGNORED).sum(2).clamp(min=1).to(self.device)
            parts.append(token_losses(out, self._head, target_NR).view(*count.shape, -1).sum(2) / count)
        return torch.cat(parts, 1)

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        """Inside, the models hold these weights, such as `average`, in place of their own."""
        live = {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data = weights[name]
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = live[name]

    def tensors(self) -> list[Tensor]:
        """All that a training step changes, each with leading axis N: weights, their average, the optimiser's state."""
        tensors = [p.data for p in self.parameters.values()] + list(self.average.values())
        return [*tensors, *self.optimizer.state.values(), self.optimizer.steps_N]

    @contextmanager
    def frozen(self, models: NDArray[np.intp]) -> Iterator[None]:
        """Inside, these models train in vain: they come out as they went in (for a rare restart of a neighbour)."""
        tensors = self.tensors()
        saved = [tensor[models].clone() for tensor in tensors] if len(models) else []
        yield
        for tensor, value in zip(tensors, saved, strict=False):
            tensor[models] = value

    def gradient(self, tokens_NBT: Tensor) -> dict[str, Tensor]:
        num_models, batch, _ = tokens_NBT.shape
        self._backward(self.mean_losses(tokens_NBT, torch.full((num_models, batch), 1 / batch)))
        gradient = {name: _grad(parameter) for name, parameter in self.parameters.items()}
        self._clear()
        return gradient

    def _backward(self, loss_N: Tensor) -> None:
        loss_N.sum().backward()  # each model's loss reaches its own parameters alone

    def _clear(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None


def _grad(parameter: torch.nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
