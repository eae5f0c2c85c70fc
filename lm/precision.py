"""The precision of float32 matrix products, which torch may be set to round to TF32 or bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

# Where torch keeps it, a parent before what inherits from it, which reads "none" where the parent does.
PLACES: tuple[Any, ...] = (
    torch.backends,
    torch.backends.cudnn,
    torch.backends.cuda.matmul,
    torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
)


@contextmanager
def float32_products(precision: Literal["highest", "high"]) -> Iterator[None]:
    """Inside, float32 matrix products are computed in float32 ("highest"), or in TF32 where the device has it ("high").

    Then all settings are as they were, those of `torch.set_float32_matmul_precision` and those of
    `torch.backends.*.fp32_precision`, which torch lets nobody ask for the former. They are the whole process's: no
    other thread should compute meanwhile."""
    own = []
    for place in PLACES:
        own.append(place.fp32_precision)
        place.fp32_precision = "none"  # or what inherits from it would be taken for set
    before = torch.get_float32_matmul_precision()  # raises where the two kinds of settings disagree: now they do not
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        for place, value in zip(PLACES, own, strict=True):
            place.fp32_precision = value
