"""What a program does on a fake GPU: its kernels and their work, where the host waits, how much memory it holds."""

import sys
import weakref
from collections import Counter
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}  # operation -> which argument is the left matrix
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "is_pinned"}
LOOK_UPS = {"embedding", "gather", "index", "index_select"}  # which read as much as they give, not all they are given
COPIES = {"_to_copy", "copy_", "index", "index_put_"}
PROJECT, PACKAGE = __name__.split(".")[0], __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Kernel:
    """One operation on the GPU. `reads`, `writes`: storage -> bytes. `product`: (rows, columns, inner) of a matrix
    product. `masked`: attention with a mask of (queries, keys)."""

    name: str
    dtype: torch.dtype
    flops: float
    reads: dict[int, int]
    writes: dict[int, int]
    product: tuple[int, int, int] | None
    masked: bool

    @property
    def bytes(self) -> int:
        return sum(self.reads.values()) + sum(self.writes.values())

    @property
    def is_aligned(self) -> bool:
        """Whether all sides of a product are multiples of 8: of 16 bytes, in half precision."""
        return all(side % 8 == 0 for side in self.product or ())

    @property
    def is_attention(self) -> bool:
        return "attention" in self.name or "_attn" in self.name


class Trace(TorchDispatchMode):
    """Inside, on fake CUDA tensors. `waits`: "what at where" -> times that the host waits for the GPU; `on_host`: types
    of matrix products on the CPU -> times; `peak_bytes`: most that tensors made inside held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []
        self.waits: Counter[str] = Counter()
        self.on_host: Counter[torch.dtype] = Counter()
        self.peak_bytes = self._live_bytes = 0
        self._storages: dict[int, tuple[int, Any]] = {}  # address -> (number, weak reference)
        self._count = 0

    @property
    def passes(self) -> int:
        """Forward passes: each looks its tokens up once."""
        return sum(kernel.name == "embedding" for kernel in self.kernels)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func.overloadpacket.__name__
        if any(tensor.device.type == "cuda" for tensor in given) and _needs_numbers(func, given):
            self.waits[f"{name} at {_place()}"] += 1
        out = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if not made and func._schema.is_mutable:  # lists that change in place are not given back
            made = [leaf for leaf in tree_leaves(args[0]) if isinstance(leaf, Tensor)]
        crosses = name in COPIES and len({tensor.device.type for tensor in (*given, *made)}) > 1
        if crosses and not (kwargs.get("non_blocking") and all(_is_ready(tensor) for tensor in given)):
            self.waits[f"{name} at {_place()}"] += 1
        if func.namespace != "prim":
            for tensor in given:
                self._number(tensor, 0)
            for tensor in made:
                self._number(tensor, tensor.untyped_storage().nbytes() if tensor.device.type == "cuda" else 0)
            if name in PRODUCTS and made[0].device.type == "cpu":
                self.on_host[made[0].dtype] += 1
            if made and made[0].device.type == "cuda" and not func.is_view and name not in NO_KERNEL:
                self.kernels.append(self._kernel(func, args, kwargs, given, made, out))
        return out

    def _kernel(self, func: Any, args: Any, kwargs: Any, given: list[Tensor], made: list[Tensor], out: Any) -> Kernel:
        name, flops, product = func.overloadpacket.__name__, 0.0, None
        named = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
        masked = named.get("attn_bias") is not None
        if (count := flop_registry.get(func.overloadpacket)) is not None:
            flops = float(count(*args, **kwargs, out_val=out))
            if named.get("is_causal") and not masked:
                flops /= 2  # half of the scores are masked, and skipped
        if name in PRODUCTS:
            left, right = args[PRODUCTS[name]], args[PRODUCTS[name] + 1]
            product = (left.shape[-2], right.shape[-1], left.shape[-1])
        written = {self._number(tensor): _size(tensor) for tensor in made}
        read = {self._number(tensor): _size(tensor) for tensor in given if tensor.device.type == "cuda"}
        if name in LOOK_UPS:
            read = {number: min(size, sum(written.values())) for number, size in read.items()}
        return Kernel(name, made[0].dtype, flops, read, written, product, masked)

    def _number(self, tensor: Tensor, size: int = 0) -> int:
        """A number for the tensor's storage that no other has. A storage that is new is memory of `size` bytes until it
        is freed."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._storages:
            self._live_bytes += size
            self.peak_bytes = max(self.peak_bytes, self._live_bytes)
            self._count += 1
            self._storages[address] = self._count, weakref.finalize(storage, self._free, address, size)
        return self._storages[address][0]

    def _free(self, address: int, size: int) -> None:
        self._live_bytes -= size
        del self._storages[address]


def _needs_numbers(func: Any, given: list[Tensor]) -> bool:
    """Whether the host must know numbers to go on: of a tensor itself, or of how many elements there are."""
    name = func.overloadpacket.__name__
    if name in ("index", "index_put_"):
        return any(tensor.dtype == torch.bool for tensor in given[1:])
    return torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags


def _is_ready(tensor: Tensor) -> bool:
    """Whether a copy from or to here can go on by itself: the host's memory is pinned."""
    return tensor.device.type == "cuda" or tensor.is_pinned()


def _size(tensor: Tensor) -> int:
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _place() -> str:
    """The innermost line of the project's own code, this package left out."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(PROJECT) and not module.startswith(PACKAGE):
            return f"{module.split('.')[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "the backward pass"
