"""The processes that train one model together, and each one's share of the work and of the tensors.

Every rank runs the same program on the same global batch; where a decision could differ, rank 0's is broadcast.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor

from ..device import usable_device
from ..io.errors import InputError, in_one_line
from ..models.optimizer import Placement, norm_N, orthogonalise

TIMEOUT = timedelta(hours=4)  # for ranks that wait while rank 0 builds or checks a corpus


class Ranks:
    """This process among those that `accelerate launch` or `torchrun` started; without either, the only one.
    InputError: a device that cannot be used here, or ranks that cannot reach each other."""

    def __init__(self, device: str) -> None:
        try:
            state = PartialState(cpu=device.startswith("cpu"), timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"the ranks cannot reach each other: {in_one_line(error)}") from None
        self.rank: int = state.process_index
        self.count: int = state.num_processes
        self.device = usable_device(device) if self.count == 1 else state.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def own(self, number: int) -> NDArray[np.int64]:
        """Which of `number` items are this rank's: equally many on every rank, the last of them -1 where there are too
        few."""
        each = -(-number // self.count)
        index = self.rank * each + np.arange(each)
        return np.where(index < number, index, -1)

    def gather(self, part: Tensor, number: int) -> Tensor:
        """The results (each, ...) of all ranks for their `own` of `number` items -> (number, ...)."""
        if self.count == 1:
            return part
        gathered = part.new_empty(self.count * len(part), *part.shape[1:])
        dist.all_gather(list(gathered.chunk(self.count)), part.contiguous())
        return gathered[:number]

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all ranks, in place."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        """Rank 0's array, of the same shape and type on all ranks."""
        if self.count == 1:
            return array
        tensor = torch.from_numpy(np.array(array)).to(self.device)
        dist.broadcast(tensor, 0)
        return tensor.cpu().numpy()

    def wait(self) -> None:
        """Wait until all ranks are here."""
        if self.count > 1:
            dist.barrier()


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
        """The rows on this rank, of `total`."""
        each = -(-total // self.ranks.count)
        first = min(self.ranks.rank * each, total)
        return slice(first, min(first + each, total))

    def orthogonalise(self, update: Tensor, shape: torch.Size) -> Tensor:
        """Gather the rows, orthogonalise this rank's share of the matrices, and keep its rows of all of them."""
        total, each = shape[1], -(-shape[1] // self.ranks.count)
        padded = torch.nn.functional.pad(update, (0, 0, 0, each - update.shape[1]))
        rows = self.ranks.gather(padded.transpose(0, 1).contiguous(), total).transpose(0, 1)
        own = self.ranks.own(len(rows))
        return self.ranks.gather(orthogonalise(rows[own]), len(rows))[:, self.rows(total)].float()

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        return self.ranks.sum(norm_N(tensors).square()).sqrt()
