"""A few language models trained as one: the part of a stack that one thread (or one GPU) works on."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PretrainedConfig

from ..models.causal_lm import IdentityHead, ends_in_head, new_model
from ..models.finite_differences import Differentiable
from ..models.optimizer import StackedOptimizer
from ..models.optimizer_config import OptimizerConfig
from .attention import take_causal_attention
from .head_loss import IGNORED, token_losses, weighted_losses
from .layers import StackedEmbedding, stack_modules

# Of one forward pass without gradients: what stays in a core's cache (measured), and what keeps a GPU busy (assumed).
EVALUATION_SEQUENCES, EVALUATION_SEQUENCES_OF_GPU = 256, 8192


class Shard(Differentiable):
    """`num_models` causal LMs of one config with float32 weights, their optimiser, and the running average of weights.

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
        # In evaluation mode, without dropout: a run must depend only on its seed, and sees about one epoch.
        self.model = new_model(deepcopy(config), 0).eval()
        take_causal_attention(self.model)
        plain_head = ends_in_head(self.model)
        self.parameters = stack_modules(self.model, num_models)
        self.model.to(device)
        embeddings = [module for module in self.model.modules() if isinstance(module, StackedEmbedding)]
        head = self.model.get_output_embeddings()
        tables = {id(table.weight) for table in [*embeddings, head]}
        names = {name for name, parameter in self.parameters.items() if id(parameter) in tables}
        self.optimizer = StackedOptimizer(self.parameters, names, optimizer, products)
        self.average = {name: torch.zeros_like(value.data) for name, value in self.parameters.items()}
        self._learned_positions = len(embeddings) > 1  # their lookup needs position ids for every sequence
        self._head: nn.Parameter | None = head.weight if plain_head else None
        if plain_head:
            self.model.set_output_embeddings(IdentityHead(head))

    def start(self, index: int, seed: int) -> None:
        """Initialise the model at `index` from `seed`."""
        fresh = dict(new_model(self.config, seed).named_parameters())
        for name, parameter in self.parameters.items():
            parameter.data[index] = fresh[name].data.to(self.device)
            self.average[name][index] = parameter.data[index]
        self.optimizer.reset(index)

    def _outputs(self, tokens_NWL: Tensor) -> tuple[Tensor, Tensor]:
        """What `head_loss` takes: hidden states or logits (N, W * (L - 1), ...), and targets (N, W * (L - 1))."""
        num_models, num_windows, context = tokens_NWL.shape
        sequences = tokens_NWL.reshape(num_models * num_windows, context).to(self.device)
        positions = None
        if self._learned_positions:
            positions = torch.arange(context - 1, device=self.device).expand(len(sequences), -1)
        out = self.model(input_ids=sequences[:, :-1].clamp(min=0), position_ids=positions, use_cache=False).logits
        return out.reshape(num_models, -1, out.shape[-1]), sequences[:, 1:].reshape(num_models, -1)

    def weighted_losses(self, tokens_NWL: Tensor, weight_NW: Tensor) -> Tensor:
        """Sum of each model's window losses, weighted, nats per predicted token -> (N,), with gradients. Tokens of -100
        are padding at the right."""
        out, target = self._outputs(tokens_NWL)
        counts = (tokens_NWL[:, :, 1:] != IGNORED).to(self.device)
        weight = (counts * (weight_NW.to(self.device) / counts.sum(2).clamp(min=1))[..., None]).flatten(1)
        return weighted_losses(out, self._head, target, weight)

    def train_step(self, tokens_NWL: Tensor, lr_fraction_N: Tensor) -> Tensor:
        """One optimiser step on the token-weighted mean loss of each model's batch -> losses (N,)."""
        count_NW = (tokens_NWL[:, :, 1:] != IGNORED).sum(2).float()
        with torch.autocast(torch.device(self.device).type, self.products, self.products != torch.float32):
            loss_N = self.weighted_losses(tokens_NWL, count_NW / count_NW.sum(1, keepdim=True))
        self._backward(loss_N)
        self.optimizer.step(lr_fraction_N.to(self.device))
        self._clear_gradients()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.average.values()), [p.data for p in self.parameters.values()], 1 - self.average_decay
            )
        return loss_N.detach()

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        """Mean loss of each window, nats per predicted token, in pieces that fit the cache -> (N, W)."""
        sequences = EVALUATION_SEQUENCES if torch.device(self.device).type == "cpu" else EVALUATION_SEQUENCES_OF_GPU
        piece = max(1, sequences // self.num_models)
        parts = []
        for some_NWL in tokens_NWL.split(piece, dim=1):
            out, target = self._outputs(some_NWL)
            count_NW = (some_NWL[:, :, 1:] != IGNORED).sum(2).clamp(min=1).to(self.device)
            parts.append(token_losses(out, self._head, target).view(*count_NW.shape, -1).sum(2) / count_NW)
        return torch.cat(parts, 1)

    @contextmanager
    def holding(self, weights: dict[str, Tensor]) -> Iterator[None]:
        """Inside, the models hold these weights, such as `average`, in place of their own."""
        own = {name: parameter.data for name, parameter in self.parameters.items()}
        try:
            for name, parameter in self.parameters.items():
                parameter.data = weights[name]
            yield
        finally:
            for name, parameter in self.parameters.items():
                parameter.data = own[name]

    def tensors(self) -> list[Tensor]:
        """All that a training step changes, each with first axis N: weights, their average, the optimiser's state."""
        tensors = [p.data for p in self.parameters.values()] + list(self.average.values())
        return [*tensors, *self.optimizer.state.values(), self.optimizer.steps_N]

    @contextmanager
    def frozen(self, models: NDArray[np.intp]) -> Iterator[None]:
        """Undo at the end what training does to these models inside (it is rare: a neighbour is restarted)."""
        tensors = self.tensors()
        saved = [tensor[models].clone() for tensor in tensors] if len(models) else []
        yield
        for tensor, value in zip(tensors, saved, strict=False):
            tensor[models] = value

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        num_models, num_windows, _ = tokens_NWL.shape
        self._backward(self.weighted_losses(tokens_NWL, torch.full((num_models, num_windows), 1 / num_windows)))
        gradient = {name: _grad(parameter) for name, parameter in self.parameters.items()}
        self._clear_gradients()
        return gradient

    def _backward(self, loss_N: Tensor) -> None:
        loss_N.sum().backward()  # each model's loss depends only on its own parameters

    def _clear_gradients(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None


def _grad(parameter: torch.nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
