"""Where the ranks keep the tensors of one model: in full on each, or a share of the rows on each (FSDP2)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributed.fsdp import fully_shard

from ..models.optimizer import Placement, norm_N, orthogonalise
from .loss_model import LossModel
from .ranks import Ranks, all_gather


class Replicated(Placement):
    """Every rank has all tensors in full. Each orthogonalises its share of the matrices; all get the results."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def orthogonalise(self, update: Tensor, shape: torch.Size) -> Tensor:
        own = self.ranks.own(len(update))
        return self.ranks.gather(orthogonalise(update[own]), len(update)).float()


class Sharded(Placement):
    """Every rank has a share of the rows of each tensor. Shares are equal, but the last ranks may have fewer rows or
    none (as FSDP2 divides them)."""

    def __init__(self, ranks: Ranks, shapes: dict[str, torch.Size]) -> None:
        self.ranks, self.shapes = ranks, shapes

    def full_shape(self, name: str, parameter: Tensor) -> torch.Size:
        return torch.Size([1, *self.shapes[name]])

    def rows(self, total: int) -> slice:
        shares = self.ranks.shares(total)
        first = sum(shares[: self.ranks.rank])
        return slice(first, first + shares[self.ranks.rank])

    def orthogonalise(self, update: Tensor, shape: torch.Size) -> Tensor:
        """Each rank gets all rows of its share of the matrices, orthogonalises these, and sends every rank its rows of
        them, so that a matrix crosses the network twice, however many ranks there are."""
        ranks, (_, total, columns) = self.ranks, shape
        matrices, rows = ranks.shares(len(update)), ranks.shares(total)
        own, here = matrices[ranks.rank], rows[ranks.rank]
        whole = ranks.exchange(list(update.split(matrices)), [torch.Size([own, count, columns]) for count in rows])
        result = orthogonalise(torch.cat(whole, 1))
        back = [torch.Size([count, here, columns]) for count in matrices]
        return torch.cat(ranks.exchange(list(result.split(rows, 1)), back)).float()

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        return self.ranks.sum(norm_N(tensors).square()).sqrt()


class WeightGather:
    """How FSDP2 gathers the weights of a layer: exactly, or, inside `rounded`, in the type of a training step's
    products, which sends fewer bytes. FSDP2's own mixed precision would hold for measurements too, which need float32,
    and would round what runs from layer to layer."""

    def __init__(self) -> None:
        self.dtype: torch.dtype | None = None

    @contextmanager
    def rounded(self, dtype: torch.dtype) -> Iterator[None]:
        self.dtype = dtype
        try:
            yield
        finally:
            self.dtype = None

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(self, output_tensor: Tensor, input_tensor: Tensor, group: Any, async_op: bool = False) -> Any:
        """Called by FSDP2, by these names."""
        if self.dtype in (None, input_tensor.dtype):
            return all_gather(output_tensor, input_tensor, group=group, async_op=async_op)
        sent = output_tensor.new_empty(output_tensor.shape, dtype=self.dtype)
        all_gather(sent, input_tensor.to(self.dtype), group=group)
        output_tensor.copy_(sent)
        return None


def shard(loss_model: LossModel, ranks: Ranks, gather: WeightGather) -> None:
    """Leave a share of the model's tensors on each rank, layer by layer."""
    for module in (*loss_model.layers, loss_model):
        # Also for the root: it would keep its gathered weights, and not see those that `holding` puts in.
        fully_shard(module, mesh=ranks.mesh, reshard_after_forward=True).set_custom_all_gather(gather)
