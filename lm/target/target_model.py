"""One model in training on one or several ranks: its tensors, a step's passes, and what is measured of it."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from ..models.engine_config import EngineConfig
from ..models.finite_differences import DifferentiableInPlace
from ..models.optimizer import Placement, StackedOptimizer
from ..models.optimizer_config import OptimizerConfig
from ..precision import float32_products
from ..proxies.attention import Documents
from ..proxies.head_loss import IGNORED
from .loss_model import LossModel
from .packing import PackedBatch, documents, lay_out
from .placement import Replicated, Sharded, WeightGather, shard
from .ranks import Ranks

Ints = NDArray[np.int64]
MEASURED_SEQUENCES = 4  # times a training pass's, if that keeps activations, which a measurement does not (assumed)


class TargetModel(DifferentiableInPlace):
    """The tensors of one model, (1, *shape) each: a share of them where `engine.parallel` is fsdp.

    `products`: type of the matrix products of a training step. Losses and influence are float32 (on a GPU with TF32
    products, whose rounding of a weight is half of the influence step, and not in its direction; assumed)."""

    def __init__(
        self,
        model: Any,
        engine: EngineConfig,
        optimizer: OptimizerConfig,
        average_decay: float,
        ranks: Ranks,
        products: torch.dtype,
    ) -> None:
        self.engine, self.ranks, self.average_decay, self.products = engine, ranks, average_decay, products
        loss_model = LossModel(model.to(ranks.device), engine, products)
        self.shapes = {loss_model.paths[path]: parameter.shape for path, parameter in loss_model.named_parameters()}
        self.loss_model = loss_model
        self.weight_gather = WeightGather()
        self.module, self.placement = _distribute(loss_model, engine, ranks, self.shapes, self.weight_gather)
        if engine.compile:
            # All layers share one code, which is compiled for passes with and without gradients, masks and casts.
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
            for layer in loss_model.layers:
                layer.compile()
        # The module's own parameters, which FSDP2 has made DTensors; `parameters` has what of them is on this rank.
        self.module_parameters = {loss_model.paths[path]: value for path, value in loss_model.named_parameters()}
        self.parameters = {
            name: nn.Parameter(_local(parameter)[None]) for name, parameter in self.module_parameters.items()
        }
        self.optimizer = StackedOptimizer(self.parameters, loss_model.tables, optimizer, products, self.placement)
        self.average = {name: parameter.data.clone() for name, parameter in self.parameters.items()}

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        return self.placement.norm_N(tensors)

    def train_step(self, tokens_WL: Ints, sequences: list[list[int]], num_targets: int, lr_fraction: float) -> Tensor:
        """One optimiser step on this rank's sequences of the global batch, which has `num_targets` tokens to predict;
        `tokens_WL`: the windows that `sequences` name -> this rank's share of the loss, nats per token."""
        batch = lay_out(tokens_WL, sequences)
        weights = (batch.targets != IGNORED) / num_targets
        # Casts of weights are kept for all passes of a step, unless a rank is not to hold all weights at once.
        keep, half = not isinstance(self.placement, Sharded), self.products != torch.float32
        autocast = torch.autocast(self.ranks.device.type, self.products, enabled=half, cache_enabled=keep)
        with autocast, self.weight_gather.rounded(self.products):
            loss = self._backward(batch, weights)
        for name, parameter in self.parameters.items():
            parameter.grad = self._gradient(name)
        self.update(lr_fraction)
        return loss

    def update(self, lr_fraction: float) -> None:
        """One optimiser step from the gradients that the parameters have, at this share of the peak learning rates."""
        self.optimizer.step(torch.full((1,), lr_fraction, device=self.ranks.device))
        self._clear_gradients()
        weights = [parameter.data for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.average_decay)

    def gradient(self, tokens_NWL: Tensor) -> dict[str, Tensor]:
        batch = self._own_windows(tokens_NWL)
        count = (batch.targets != IGNORED).sum(1, keepdims=True)
        with self._measured_products():
            self._backward(batch, (batch.targets != IGNORED) / np.maximum(count, 1) / tokens_NWL.shape[1])
        gradient = {name: self._gradient(name) for name in self.parameters}
        self._clear_gradients()
        return gradient

    @torch.no_grad()
    def evaluate(self, tokens_NWL: Tensor) -> Tensor:
        batch = self._own_windows(tokens_NWL)
        inputs, targets = self._to_device(batch.inputs), self._to_device(batch.targets)
        times, parts = 1 if self.engine.save_memory else MEASURED_SEQUENCES, []
        size = times * self.engine.pass_sequences
        with self._measured_products():
            for some_inputs, some_targets in zip(inputs.split(size), targets.split(size), strict=True):
                loss = self.loss_model(some_inputs, None, some_targets, None)
                parts.append(loss.sum(1) / (some_targets != IGNORED).sum(1).clamp(min=1))
        return self.ranks.gather(torch.cat(parts), tokens_NWL.shape[1])[None]

    def _measured_products(self) -> AbstractContextManager[None]:
        """Inside, matrix products on a GPU are TF32."""
        return float32_products("high") if self.ranks.device.type != "cpu" else nullcontext()

    def _own_windows(self, tokens_NWL: Tensor) -> PackedBatch:
        """This rank's share of the windows to measure, a sequence each."""
        own = self.ranks.own(tokens_NWL.shape[1])
        return lay_out(tokens_NWL[0].numpy(), [[window] if window >= 0 else [] for window in own.tolist()])

    def _backward(self, batch: PackedBatch, weights: NDArray[np.float64]) -> Tensor:
        """Gradients of the weighted sum of all ranks' token losses, pass by pass -> this rank's part of the sum."""
        size, total = self.engine.pass_sequences, torch.zeros((), device=self.ranks.device)
        separate = batch.shared and self.engine.packing == "documents"
        arrays = batch.inputs, batch.positions, batch.targets, weights.astype(np.float32)
        passes = list(zip(*(self._to_device(array).split(size) for array in arrays), strict=True))
        for number, (inputs, positions, targets, weight) in enumerate(passes):
            with self._accumulating(last=number == len(passes) - 1):
                apart = self._apart(batch, number) if separate else None
                loss = self.module(inputs, positions if separate else None, targets, weight, apart)
                loss.backward()
            total += loss.detach()
        return total

    def _apart(self, batch: PackedBatch, number: int) -> Documents | None:
        """The documents of a pass, where the model is told of them."""
        form, size = self.loss_model.form, self.engine.pass_sequences
        lengths = batch.lengths[number * size : (number + 1) * size]
        return None if form is None else documents(lengths, form, self._to_device)

    def _to_device(self, array: NDArray[Any]) -> Tensor:
        """The array on the rank's device. The copy is asynchronous, so that the GPU never waits for this process."""
        tensor, device = torch.from_numpy(array), self.ranks.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    @contextmanager
    def _accumulating(self, last: bool) -> Iterator[None]:
        """Inside, a backward pass adds to the gradients. With DDP the ranks' gradients are summed in a step's last pass
        only; with FSDP in every one, or a rank would hold gradients of the full size until then."""
        silent = isinstance(self.module, DistributedDataParallel) and not last
        with cast(Any, self.module).no_sync() if silent else nullcontext():
            yield

    def _gradient(self, name: str) -> Tensor:
        """(1, *shape), the sum over ranks (DDP and FSDP give their mean); 0 where none reaches the parameter, which
        then stays as it is: a fixed sinusoid, or a decoder's attention to an encoder that it has not."""
        grad = self.module_parameters[name].grad
        if grad is None:
            return torch.zeros_like(self.parameters[name])
        own = _local(grad)[None]
        return own.mul_(self.ranks.count) if self.ranks.count > 1 else own

    def _clear_gradients(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.grad = self.module_parameters[name].grad = None


def _distribute(
    loss_model: LossModel, engine: EngineConfig, ranks: Ranks, shapes: dict[str, torch.Size], gather: WeightGather
) -> tuple[nn.Module, Placement]:
    """The module to train, wrapped for the ranks, and where its tensors are. `gather`: how shares of them would be
    gathered."""
    if ranks.count == 1:
        return loss_model, Placement()
    if engine.parallel == "ddp":
        some_unused = loss_model.leaves_parameters_out()
        wrapped = DistributedDataParallel(loss_model, gradient_as_bucket_view=True, find_unused_parameters=some_unused)
        return wrapped, Replicated(ranks)
    shard(loss_model, ranks, gather)
    return loss_model, Sharded(ranks, shapes)


def _local(tensor: Tensor) -> Tensor:
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return own.detach()
