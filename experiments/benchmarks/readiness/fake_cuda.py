"""Fake CUDA tensors: inside `fake_cuda()` the engine runs on them as it is, and mixed devices raise as on a GPU.

What torch cannot do with fake tensors, or with CUDA where it is built without, is told here what to do: modules move,
memory is pinned, attention takes the kernels that it takes on a GPU, and what needs a number gets one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

HALF = (torch.bfloat16, torch.float16)
MOST_VALUES = 2**21  # of a tensor that are computed beside it
_sdpa = nn.functional.scaled_dot_product_attention


@contextmanager
def fake_tensors() -> Iterator["Answers"]:
    """Inside, tensors are fake, wherever they are."""
    answers = Answers()
    with (
        mock.patch.object(nn.Module, "_apply", _apply),
        mock.patch.object(FakeTensor, "numpy", lambda tensor: answers.numpy(tensor)),
        mock.patch("transformers.utils.import_utils.is_fake_tensor", return_value=False),  # else it makes all masks
        FakeTensorMode(allow_non_fake_inputs=True),
        answers,
    ):
        yield answers


@contextmanager
def fake_cuda() -> Iterator[None]:
    """Inside, tensors are fake, and a GPU is there. In a process that `guard.load_guard` has prepared."""
    with (
        mock.patch("torch.cuda.amp.common.amp_definitely_not_available", return_value=False),
        mock.patch("torch.cuda.is_bf16_supported", return_value=True),
        mock.patch.object(nn.functional, "scaled_dot_product_attention", _attention),
        fake_tensors(),
    ):
        yield


class Answers(TorchDispatchMode):
    """Tells whole numbers and truth values of fake tensors, which are computed beside them on the CPU as long as they
    are few, so that a program that asks for them takes the branch that it would take; else 0, or "equal"."""

    def __init__(self) -> None:
        super().__init__()
        self.values = WeakIdKeyDictionary()  # fake tensor -> its values
        self._pinned: dict[int, Tensor] = {}  # kept, so that no other gets its address

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name == "is_pinned":
            return args[0].untyped_storage()._cdata in self._pinned
        if name == "_pin_memory":
            copy = args[0].clone()
            self._pinned[copy.untyped_storage()._cdata] = copy
            self._keep(func, copy, self.value_of(args[0]) if _is_small(args[0]) else None)
            return copy
        if name in ("equal", "allclose"):
            return True
        if name == "_local_scalar_dense":
            return self._number(args[0])
        known = self._compute(func, args, kwargs)
        try:
            out = func(*args, **kwargs)
        except DynamicOutputShapeException:
            if known is None:
                raise
            device = next(leaf.device for leaf in tree_leaves(args) if isinstance(leaf, Tensor))
            out = tree_map(lambda value: torch.empty(value.shape, dtype=value.dtype, device=device), known)
        self._keep(func, out, known)
        return out

    def _keep(self, func: Any, out: Any, known: Any) -> None:
        fakes = tree_leaves(out)
        for fake, value in zip(fakes, tree_leaves(known) if known is not None else [None] * len(fakes), strict=True):
            if isinstance(fake, FakeTensor) and value is not None:
                self.values[fake] = value
            elif isinstance(fake, FakeTensor) and func._schema.is_mutable:
                self.values.pop(fake, None)

    def _number(self, tensor: Tensor) -> Any:
        if (known := self.value_of(tensor)) is not None:
            return _array(known).item()
        return 0.0 if tensor.is_floating_point() else 0

    def value_of(self, tensor: Tensor) -> Tensor | None:
        """The values of a tensor, None where they are not known."""
        return self.values.get(tensor) if isinstance(tensor, FakeTensor) else tensor

    def numpy(self, tensor: Tensor) -> NDArray[Any]:
        """As `Tensor.numpy`, of zeros where the values are not known. TypeError: the tensor is on the GPU."""
        if tensor.device.type != "cpu":
            raise TypeError(f"a tensor on {tensor.device} has no array, expected one on the CPU: .cpu() first")
        if (known := self.value_of(tensor)) is not None:
            return _array(known)
        return np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    def _compute(self, func: Any, args: Any, kwargs: Any) -> Any:
        """What an operation on known whole numbers gives; None: it is none of these."""
        if func.namespace != "aten":
            return None
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if not given and func.overloadpacket.__name__ != "arange":
            return None
        if not all(_is_small(tensor) and self.value_of(tensor) is not None for tensor in given):
            return None
        args, kwargs = tree_map(lambda leaf: self.value_of(leaf) if isinstance(leaf, Tensor) else leaf, (args, kwargs))
        if kwargs.get("device") is not None:
            kwargs = kwargs | {"device": "cpu"}
        with unset_fake_temporarily():
            out = func(*args, **kwargs)
        values = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        return out if values and all(map(_is_small, values)) else None


def _array(value: Tensor) -> NDArray[Any]:
    with unset_fake_temporarily():
        return value.numpy().copy()


def _is_small(tensor: Tensor) -> bool:
    """Whether it has whole numbers or truth values, and few."""
    return not (tensor.is_floating_point() or tensor.is_complex()) and tensor.numel() <= MOST_VALUES


def _apply(module: nn.Module, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """As `Module._apply`, which cannot move a fake parameter: the parameter stays the same object."""
    for part in module.modules() if recurse else [module]:
        for parameter in part._parameters.values():
            if parameter is not None:
                with torch.no_grad():
                    converted = convert(parameter)
                if converted is not parameter:
                    new = nn.Parameter(converted.detach(), parameter.requires_grad)
                    torch._C._swap_tensor_impl(parameter, new)
                    parameter.__dict__.update(new.__dict__)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = convert(buffer)
    return module


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """As torch's attention on a GPU: flash in half precision without a mask, else memory-efficient. A CPU's torch takes
    plain products for fake CUDA tensors."""
    if query.device.type != "cuda":
        return _sdpa(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    if torch.is_autocast_enabled("cuda"):
        query, key, value = (tensor.to(torch.get_autocast_dtype("cuda")) for tensor in (query, key, value))
    if attn_mask is None and query.dtype in HALF:
        return torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, dropout_p, is_causal, False, scale=scale
        )[0]
    if enable_gqa:
        key, value = (tensor.repeat_interleave(query.shape[1] // tensor.shape[1], 1) for tensor in (key, value))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            attn_mask = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill(~attn_mask, -torch.inf)
        attn_mask = attn_mask.to(query.dtype).expand(*query.shape[:2], -1, -1)
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, True, dropout_p, is_causal, scale=scale
    )[0]
