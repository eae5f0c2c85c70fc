"""What eight ranks send each other in a step of a sharded target: of one rank, among others that are not there."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from .cases import target_case
from .fake_cuda import fake_tensors

RANKS = 8


class Collectives(TorchDispatchMode):
    """Inside. `bytes`: collective operation -> size of the whole that each rank takes part in, such as all gathered
    rows."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if "c10d" in func.namespace:
            parts = [_bytes(argument) for argument in (*args, out)]
            self.bytes[func.overloadpacket.__name__] += max(parts, default=0)
        return out


def _bytes(tree: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


@contextmanager
def eight_ranks() -> Iterator[None]:
    """Inside, this process is one of eight, of which the others are not there: collectives do nothing, and tensors are
    fake ones of a CPU. In a process of its own, without `guard.load_guard`."""
    os.environ |= {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    dist.init_process_group("fake", store=FakeStore(), rank=3, world_size=RANKS)
    PartialState(cpu=True).device = torch.device("cpu")  # fake tensors take cpu:0 for another device
    of_mesh = DeviceMesh.__init__

    def known(leaf: Any) -> Any:
        return answers.value_of(leaf) if isinstance(leaf, Tensor) else leaf

    def make_mesh(mesh: DeviceMesh, *args: Any, **kwargs: Any) -> None:
        args, kwargs = tree_map(known, (args, kwargs))
        with _disable_current_modes():  # which rank is where must be known
            of_mesh(mesh, *args, **kwargs)

    with fake_tensors() as answers, mock.patch.object(DeviceMesh, "__init__", make_mesh):
        yield


def step_collectives(layers: int | None = None) -> dict[str, float]:
    """Collective operation -> its bytes in a step of the preset 1b3 on eight ranks. `layers`: of the model, in place of
    the preset's."""
    case = target_case("1b3", parallel="fsdp")
    setting = replace(case.setting, device="cpu", precision="bfloat16", num_layers=layers or case.setting.num_layers)
    case = replace(case, setting=setting)
    with eight_ranks():
        target = case.backend()

        def of_passes(number: int) -> Counter[str]:
            with Collectives() as seen:
                target.train(case.ids(1, RANKS * case.windows_of(number)), np.ones(1, bool))
            return seen.bytes

        one, two = of_passes(1), of_passes(2)
    return {name: one[name] + (two[name] - one[name]) * (case.passes(RANKS) - 1) for name in two}


def gathered_gib(collectives: dict[str, float]) -> float:
    """GiB of all that is gathered."""
    return sum(size for name, size in collectives.items() if "gather" in name) / 2**30
