"""The devices that models run on, by torch's names."""

import re
from typing import TYPE_CHECKING

from .io.errors import InputError, in_one_line

if TYPE_CHECKING:
    import torch

KINDS = ("cpu", "cuda", "mps", "xpu")


def check_device_name(name: str) -> None:
    """InputError: no name of a device, here or elsewhere."""
    if not re.fullmatch(rf"({'|'.join(KINDS)})(:\d+)?", name):
        raise InputError(
            f"device is '{name}', expected one of {', '.join(KINDS)}, perhaps with its number, as in cuda:1"
        )


def usable_device(name: str) -> "torch.device":
    """The device of that name. InputError: torch cannot use it on this machine."""
    import torch

    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except Exception as error:  # noqa: BLE001 - builds of torch raise what they like
        found = torch.accelerator.current_accelerator(check_available=True)
        count = torch.accelerator.device_count() if found else 0
        there = f" or {found.type}, which has the numbers 0 to {count - 1}" if found else ", the only one here"
        why = in_one_line(error, 120)
        raise InputError(f"device is '{name}', which torch cannot use ({why}), expected cpu{there}") from None
