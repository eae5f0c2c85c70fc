"""The processes that train one model together: each one's share of the work, and what they tell each other.

Every rank runs the same program on the same global batch; where a decision could differ, rank 0's is broadcast.
"""

import atexit
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from ..device import usable_device
from ..io.errors import InputError, in_one_line

T = TypeVar("T")
TIMEOUT = timedelta(minutes=20)  # of whatever all ranks do together: after that one of them must be dead
FIRST_TIMEOUT = timedelta(hours=4)  # of the wait while rank 0 builds or checks a corpus, or tries a policy
# One collective under two names: torch 2.13 warns of the older one, torch 2.11 has only that.
all_gather = dist.all_gather_single if hasattr(dist, "all_gather_single") else dist.all_gather_into_tensor


class Ranks:
    """This process among those that `accelerate launch` or `torchrun` started; without either, the only one. What
    connects them ends with the process, unless it was there before. InputError: a device that cannot be used here, or
    ranks that cannot reach each other."""

    def __init__(self, device: str) -> None:
        connected = dist.is_initialized()
        try:
            state = PartialState(cpu=device.startswith("cpu"), timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"the ranks cannot reach each other: {in_one_line(error)}") from None
        if dist.is_initialized() and not connected:
            atexit.register(state.destroy_process_group)  # NCCL warns where a command, also a failed one, leaves it
        self.rank: int = state.process_index
        self.count: int = state.num_processes
        self.device = usable_device(device) if self.count == 1 else state.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    @cached_property
    def mesh(self) -> DeviceMesh:
        """All ranks, by the kind of their device: torch would otherwise take a GPU that the machine has, and this
        process does not use."""
        group = dist.group.WORLD
        assert group is not None, "a mesh is of several ranks"
        return DeviceMesh.from_group(group, self.device.type)

    def own(self, number: int) -> NDArray[np.int64]:
        """Which of `number` items are this rank's: equally many on every rank, the last of them -1 where there are too
        few."""
        each = -(-number // self.count)
        index = self.rank * each + np.arange(each)
        return np.where(index < number, index, -1)

    def shares(self, number: int) -> list[int]:
        """How many of `number` items each rank has: the first ones equally many, the last fewer or none."""
        each = -(-number // self.count)
        return [max(0, min(each, number - rank * each)) for rank in range(self.count)]

    def gather(self, part: Tensor, number: int) -> Tensor:
        """The results (each, ...) of all ranks for their `own` of `number` items -> (number, ...)."""
        if self.count == 1:
            return part
        gathered = part.new_empty(self.count * len(part), *part.shape[1:])
        all_gather(gathered, part.contiguous())
        return gathered[:number]

    def exchange(self, parts: list[Tensor], shapes: list[torch.Size]) -> list[Tensor]:
        """Send every rank its part; what the ranks sent here, of these shapes, all of one type."""
        sent = torch.cat([part.flatten() for part in parts])
        sizes = [shape.numel() for shape in shapes]
        received = sent.new_empty(sum(sizes))
        dist.all_to_all_single(received, sent, sizes, [part.numel() for part in parts])
        return [part.view(shape) for part, shape in zip(received.split(sizes), shapes, strict=True)]

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
        PartialState().wait_for_everyone()

    def on_first(self, work: Callable[[], T]) -> T | None:
        """What `work()` gives on rank 0, for hours if need be; None on the others, which wait for it. Where it raises,
        rank 0 does, and the others exit without a message."""
        if self.count == 1:
            return work()
        result, done = None, torch.zeros(1)
        group = self._patient
        try:
            if self.first:
                result = work()
                done += 1
        finally:
            dist.broadcast(done, 0, group=group)
        if not done:
            raise SystemExit(2)
        return result

    @cached_property
    def _patient(self) -> dist.ProcessGroup:
        """The ranks once more, with a longer timeout; on CPUs, so that nothing waits on a GPU for hours."""
        return dist.new_group(backend="gloo", timeout=FIRST_TIMEOUT)
