"""The precision of float32 products is set for a while and put back, however the user has set it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch

from pretraingym.lm.precision import PLACES, float32_products

MATMUL = torch.backends.cuda.matmul


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    own = [place.fp32_precision for place in PLACES]
    yield
    torch.set_float32_matmul_precision("highest")
    for place, value in zip(PLACES, own, strict=True):
        place.fp32_precision = value


def settings() -> list[Any]:
    try:
        old = torch.get_float32_matmul_precision()
    except RuntimeError:
        old = "torch cannot tell"
    return [old, *(place.fp32_precision for place in PLACES)]


def set_new(place: Any, precision: str) -> None:
    place.fp32_precision = precision


WAYS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "old-high": lambda: torch.set_float32_matmul_precision("high"),
    "old-medium": lambda: torch.set_float32_matmul_precision("medium"),
    "new-generic": lambda: set_new(torch.backends, "tf32"),  # what TrainingArguments(tf32=True) does
    "new-cudnn": lambda: set_new(torch.backends.cudnn, "tf32"),
    "new-matmul": lambda: set_new(MATMUL, "tf32"),
    "new-cpu": lambda: set_new(torch.backends.mkldnn.matmul, "bf16"),
    "both": lambda: (torch.set_float32_matmul_precision("high"), set_new(MATMUL, "ieee"))[1],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("precision", "inside"), [("highest", "ieee"), ("high", "tf32")])
def test_products_are_as_asked_for_and_the_settings_come_back(way: str, precision: Any, inside: str) -> None:
    WAYS[way]()
    before = settings()
    with suppress(KeyError), float32_products(precision):
        assert torch.get_float32_matmul_precision() == precision  # which compilers ask for
        assert MATMUL.fp32_precision == inside
        assert torch.backends.mkldnn.matmul.fp32_precision == inside
        raise KeyError
    assert settings() == before


def test_what_inherits_its_precision_inherits_it_afterwards() -> None:
    torch.backends.fp32_precision = "tf32"
    with float32_products("highest"):
        pass
    torch.backends.fp32_precision = "ieee"
    assert MATMUL.fp32_precision == "ieee"
