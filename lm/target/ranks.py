"""The processes that train one model together: who has which share of the work and of the tensors.

Every rank runs the same program on the same global batch; rank 0's word holds where a decision could differ.
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

from ..io.errors import InputError
from ..models.optimizer import Placement, norm_N, orthogonalise

PATIENCE = timedelta(hours=4)  # of ranks that wait for rank 0 to build or to check a corpus


class Ranks:
    """This process among those that `accelerate launch` or `torchrun` started; alone without either."""

    def __init__(self, device: str) -> None:
        try:
            state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"the ranks cannot reach each other: {str(error).splitlines()[0]}") from None
        self.rank: int = state.process_index
        self.count: int = state.num_processes
        self.device = torch.device(device) if self.count == 1 else state.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def own(self, number: int) -> NDArray[np.int64]:
        """Which of `number` things are this rank's: as many on every rank, the last ones -1 where they run out."""
        each = -(-number // self.count)
        index = self.rank * each + np.arange(each)
        return np.where(index < number, index, -1)

    def gather(self, part: Tensor, number: int) -> Tensor:
        """All ranks' results (each, ...) for their `own` of `number` things -> (number, ...)."""
        if self.count == 1:
            return part
        whole = part.new_empty(self.count * len(part), *part.shape[1:])
        dist.all_gather(list(whole.chunk(self.count)), part.contiguous())
        return whole[:number]

    def sum(self, value: Tensor) -> Tensor:
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def word_of_first(self, array: NDArray[Any]) -> NDArray[Any]:
        """Rank 0's array, of the same shape and type on all ranks."""
        if self.count == 1:
            return array
        tensor = torch.from_numpy(np.array(array)).to(self.device)
        dist.broadcast(tensor, 0)
        return tensor.cpu().numpy()

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            dist.barrier()


class Replicated(Placement):
    """Every rank has all tensors. Each orthogonalises its share of the matrices; all get the results."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def orthogonalise(self, update_BOI: Tensor, shape: torch.Size) -> Tensor:
        own = self.ranks.own(len(update_BOI))
        return self.ranks.gather(orthogonalise(update_BOI[own]), len(update_BOI)).float()


class Sharded(Placement):
    """Every rank has a share of the rows of each tensor: as many as on the other ranks but for the last ones, which may
    have fewer or none (FSDP2's own shares)."""

    def __init__(self, ranks: Ranks, shapes: dict[str, torch.Size]) -> None:
        self.ranks, self.shapes = ranks, shapes

    def full_shape(self, name: str, parameter: Tensor) -> torch.Size:
        return torch.Size([1, *self.shapes[name]])

    def rows(self, total: int) -> slice:
        """This rank's of `total` rows."""
        each = -(-total // self.ranks.count)
        first = min(self.ranks.rank * each, total)
        return slice(first, min(first + each, total))

    def orthogonalise(self, update_BOI: Tensor, shape: torch.Size) -> Tensor:
        """Rows are gathered, each rank orthogonalises its share of the matrices, and keeps its rows of all."""
        total, each = shape[1], -(-shape[1] // self.ranks.count)
        padded = torch.nn.functional.pad(update_BOI, (0, 0, 0, each - update_BOI.shape[1]))
        rows = self.ranks.gather(padded.transpose(0, 1).contiguous(), total).transpose(0, 1)
        own = self.ranks.own(len(rows))
        return self.ranks.gather(orthogonalise(rows[own]), len(rows))[:, self.rows(total)].float()

    def norm_N(self, tensors: Iterable[Tensor]) -> Tensor:
        return self.ranks.sum(norm_N(tensors).square()).sqrt()
