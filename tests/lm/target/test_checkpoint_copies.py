"""What a checkpoint saves is copied first: from a GPU into pinned memory, with one wait."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from pretraingym.lm.target.checkpoints import _on_the_cpu


def test_copies_on_the_cpu_are_contiguous_and_their_own() -> None:
    tensors = [torch.randn(3, 4).T, torch.arange(5.0), torch.ones(2, 3, dtype=torch.bfloat16)[:, 1:]]
    before = [tensor.clone() for tensor in tensors]
    copies = _on_the_cpu(tensors)
    for tensor in tensors:
        tensor.zero_()
    for copy, value in zip(copies, before, strict=True):
        assert copy.is_contiguous()
        assert copy.dtype == value.dtype
        assert torch.equal(copy, value)


class Copies(TorchDispatchMode):
    """Counts the copies from a GPU, by whether they wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Counter[bool] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if name in ("copy_", "_to_copy") and any(isinstance(x, Tensor) and x.device.type == "cuda" for x in args):
            at_once = args[2] if len(args) > 2 else (kwargs or {}).get("non_blocking", False)
            self.waiting[not at_once] += 1
        return found


def test_a_gpu_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned, waits = [], []
    empty = torch.empty

    def noting(*shape: Any, pin_memory: bool = False, **given: Any) -> Tensor:
        pinned.append(pin_memory)
        return empty(*shape, **given)

    with FakeTensorMode(), Copies() as copies:
        tensors = [
            torch.empty(3, 4, device="cuda"),
            torch.empty(5, dtype=torch.bfloat16, device="cuda"),
            torch.empty(2),
        ]
        monkeypatch.setattr(torch, "empty", noting)
        monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
        found = _on_the_cpu(tensors)
    assert pinned == [True, True, False]
    assert copies.waiting == {False: 2}
    assert waits == [torch.device("cuda:0")] or waits == [torch.device("cuda")]
    assert [copy.device.type for copy in found] == ["cpu"] * 3
