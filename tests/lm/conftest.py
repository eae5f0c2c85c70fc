"""Stand-ins for what only a GPU has, and a count of what makes one wait."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import varlen
from torch.utils._python_dispatch import TorchDispatchMode

WAITS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal", "unique_dim", "_unique2", "masked_select"}


class _Waits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (name := func.overloadpacket.__name__) in WAITS:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits() -> Callable[[], AbstractContextManager[Counter[str]]]:
    """Inside its context, counts the operations for whose result the host of a GPU would wait."""

    @contextmanager
    def counting() -> Iterator[Counter[str]]:
        with _Waits() as mode:
            yield mode.seen

    return counting


CALLS: list[dict[str, Any]] = []


def _documents(bounds: Tensor) -> list[slice]:
    ends = bounds.tolist()
    return [slice(begin, end) for begin, end in zip(ends, ends[1:], strict=False) if begin < end]


def _probabilities(query: Tensor, key: Tensor, scale: float | None) -> Tensor:
    """(tokens, heads, size) of a document -> (heads, tokens, tokens)."""
    scores = torch.einsum("qhd,khd->hqk", query, key) * (query.shape[2] ** -0.5 if scale is None else scale)
    return scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf).softmax(2)


def _wide(query: Tensor, *grouped: Tensor) -> list[Tensor]:
    """In float32, a head of keys and values for each of the queries."""
    return [query.float(), *(x.float().repeat_interleave(query.shape[1] // x.shape[1], 1) for x in grouped)]


def _forward(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, key_bounds: Tensor, longest: int, key_longest: int,
    is_causal: bool = False, scale: float | None = None, window_size: list[int] | None = None, *rest: Any,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    CALLS.append({"types": {x.dtype for x in (query, key, value)}, "bounds": bounds, "longest": longest})
    assert torch.equal(bounds, key_bounds)
    assert longest == key_longest
    assert (is_causal, window_size) == (True, [-1, 0])
    assert (bounds.dtype, bounds[0], bounds[-1]) == (torch.int32, 0, len(query))
    assert 0 <= bounds.diff().min() <= bounds.diff().max() <= longest
    q, k, v = _wide(query, key, value)
    out = [
        torch.einsum("hqk,khd->qhd", _probabilities(q[each], k[each], scale), v[each]) for each in _documents(bounds)
    ]
    return torch.cat(out).to(query.dtype), torch.zeros(query.shape[1], len(query)), torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, bounds: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    scale = rest[5]
    q, k, v = _wide(query, key, value)
    grads = [torch.zeros_like(x) for x in (q, k, v)]
    for each in _documents(bounds):
        p = _probabilities(q[each], k[each], scale)
        of_p = torch.einsum("qhd,khd->hqk", grad[each].float(), v[each])
        of_scores = p * (of_p - (of_p * p).sum(2, keepdim=True)) * (q.shape[2] ** -0.5 if scale is None else scale)
        grads[0][each] = torch.einsum("hqk,khd->qhd", of_scores, k[each])
        grads[1][each] = torch.einsum("hqk,qhd->khd", of_scores, q[each])
        grads[2][each] = torch.einsum("hqk,qhd->khd", p, grad[each].float())
    given = zip(grads, (query, key, value), strict=True)
    return tuple(wide.unflatten(1, (x.shape[1], -1)).sum(2).to(x.dtype) for wide, x in given)


@pytest.fixture
def varlen_on_cpu() -> list[dict[str, Any]]:
    """Gives torch's variable-length attention a kernel for CPUs, which has none, and returns a list of its calls."""
    varlen._varlen_attn.register_kernel("cpu")(_forward)
    varlen._varlen_attn_backward.register_kernel("cpu")(_backward)
    CALLS.clear()
    return CALLS
