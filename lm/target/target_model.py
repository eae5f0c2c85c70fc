"""One model in training on one or several ranks: its tensors, a step's passes, and what is measured of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from ..models.engine_config import EngineConfig
from ..models.influence import InPlace
from ..models.optimizer import OptimizerConfig, Placement, StackedOptimizer
from ..proxies.head_loss import IGNORED
from .loss_model import LossModel
from .packing import Rows, lay_out
from .ranks import Ranks, Replicated, Sharded

Ints = NDArray[np.int64]
MEASURED_ROWS = 4  # times a training pass's, without activations to keep (assumed)


class TargetModel(InPlace):
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
        whole = LossModel(model.to(ranks.device), engine)
        self.shapes = {whole.paths[path]: parameter.shape for path, parameter in whole.named_parameters()}
        self.whole = whole
        self.module, self.placement = _spread(whole, engine, ranks, self.shapes)
        if engine.compile:
            # All layers share one code, which is compiled for passes with and without gradients, masks and casts.
            torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
            for layer in whole.layers:
                layer.compile()
        self.live = {whole.paths[path]: parameter for path, parameter in whole.named_parameters()}
        self.parameters = {name: nn.Parameter(_local(parameter)[None]) for name, parameter in self.live.items()}
        self.optimizer = StackedOptimizer(self.parameters, whole.tables, optimizer, products, self.placement)
        self.average = {name: parameter.data.clone() for name, parameter in self.parameters.items()}

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        return self.placement.norm_N(tensors)

    def train_step(self, tokens_BT: Ints, rows: list[list[int]], num_targets: int, lr_fraction: float) -> Tensor:
        """One optimiser step on this rank's sequences of the global batch, which has `num_targets` tokens to predict;
        `tokens_BT`: the windows that `rows` name -> this rank's share of the loss, nats per token."""
        laid = lay_out(tokens_BT, rows)
        weights = (laid.targets != IGNORED) / num_targets
        # Casts of weights are kept for all passes of a step, unless a rank is not to hold all weights at once.
        keep, half = not isinstance(self.placement, Sharded), self.products != torch.float32
        with torch.autocast(self.ranks.device.type, self.products, enabled=half, cache_enabled=keep):
            loss = self._backward(laid, weights)
        for name, parameter in self.parameters.items():
            parameter.grad = self._gradient(name)
        self.update(lr_fraction)
        return loss

    def update(self, lr_fraction: float) -> None:
        """One optimiser step from the gradients that the parameters have, at this share of the peak learning rates."""
        self.optimizer.step(torch.full((1,), lr_fraction, device=self.ranks.device))
        self._clear()
        weights = [parameter.data for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.average_decay)

    def gradient(self, tokens_NBT: Tensor) -> dict[str, Tensor]:
        laid = self._own(tokens_NBT)
        count = (laid.targets != IGNORED).sum(1, keepdims=True)
        with _tf32(self.ranks.device):
            self._backward(laid, (laid.targets != IGNORED) / np.maximum(count, 1) / tokens_NBT.shape[1])
        gradient = {name: self._gradient(name) for name in self.parameters}
        self._clear()
        return gradient

    @torch.no_grad()
    def evaluate(self, tokens_NBT: Tensor) -> Tensor:
        laid = self._own(tokens_NBT)
        inputs_RS, targets_RS = self._there(laid.inputs), self._there(laid.targets)
        size, parts = self.engine.pass_rows * MEASURED_ROWS, []
        with _tf32(self.ranks.device):
            for inputs, targets in zip(inputs_RS.split(size), targets_RS.split(size), strict=True):
                loss = self.whole(inputs, None, targets, None)
                parts.append(loss.sum(1) / (targets != IGNORED).sum(1).clamp(min=1))
        return self.ranks.gather(torch.cat(parts), tokens_NBT.shape[1])[None]

    def _own(self, tokens_1BT: Tensor) -> Rows:
        """This rank's share of windows that are measured, a sequence each."""
        own = self.ranks.own(tokens_1BT.shape[1])
        return lay_out(tokens_1BT[0].numpy(), [[window] if window >= 0 else [] for window in own.tolist()])

    def _backward(self, laid: Rows, weights: NDArray[np.float64]) -> Tensor:
        """Gradients of the weighted sum of all ranks' token losses, pass by pass -> this rank's part of the sum."""
        size, total = self.engine.pass_rows, torch.zeros((), device=self.ranks.device)
        several = laid.shared and self.engine.packing == "documents"
        arrays = laid.inputs, laid.positions, laid.targets, weights.astype(np.float32)
        passes = list(zip(*(self._there(array).split(size) for array in arrays), strict=True))
        for number, (inputs, positions, targets, weight) in enumerate(passes):
            with self._reducing(number == len(passes) - 1):
                loss = self.module(inputs, positions if several else None, targets, weight)
                loss.backward()
            total += loss.detach()
        return total

    def _there(self, array: NDArray[Any]) -> Tensor:
        """On the device; without waiting for it, so that it never waits for us."""
        tensor, device = torch.from_numpy(array), self.ranks.device
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

    @contextmanager
    def _reducing(self, now: bool) -> Iterator[None]:
        """Inside, a backward pass adds to the gradients. With whole models those of all ranks come together in the last
        pass alone; with shares in every one, or a rank would hold whole gradients meanwhile."""
        silent = isinstance(self.module, DistributedDataParallel) and not now
        with cast(Any, self.module).no_sync() if silent else nullcontext():
            yield

    def _gradient(self, name: str) -> Tensor:
        """(1, *shape), the sum over ranks: they leave their mean."""
        grad = self.live[name].grad
        assert grad is not None
        own = _local(grad)[None]
        return own.mul_(self.ranks.count) if self.ranks.count > 1 else own

    def _clear(self) -> None:
        for name, parameter in self.parameters.items():
            parameter.grad = self.live[name].grad = None


def _spread(
    whole: LossModel, engine: EngineConfig, ranks: Ranks, shapes: dict[str, torch.Size]
) -> tuple[nn.Module, Placement]:
    if ranks.count == 1:
        return whole, Placement()
    if engine.parallel == "ddp":
        return DistributedDataParallel(whole, gradient_as_bucket_view=True), Replicated(ranks)
    for module in (*whole.layers, whole):
        # Said of the root too, which would keep its gathered weights, and not see those that `holding` puts in.
        fully_shard(module, reshard_after_forward=True)
    return whole, Sharded(ranks, shapes)


def _local(tensor: Tensor) -> Tensor:
    own = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return own.detach()


@contextmanager
def _tf32(device: torch.device) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if device.type == "cuda" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
