"""A file of named arrays and what they are of: a safetensors file, whole or absent, with the version of its content."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .errors import InputError
from .files import write_atomic
from .state import State

ABOUT = "about"  # the key of the header under which the JSON stands


class OtherVersion(InputError):
    """A whole file in a format that this version does not read."""


class DamagedFile(InputError):
    """A file that is not as it was written."""


def check_version(where: str, found: Any, expected: int) -> None:
    """OtherVersion: the file's format is not `expected`. Files of before there were numbers have None."""
    if found != expected:
        later = isinstance(found, int) and found > expected
        raise OtherVersion(
            f"{where} was written by {'a later' if later else 'an earlier'} version (its format is {found}, this "
            f"version reads {expected}): start anew in another folder, or finish the run with that version"
        )


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], about: dict[str, Any], schema: int) -> None:
    """Replace `path`, whole or not at all; it is on the disk when this returns. about: for JSON; schema: the number of
    the format that the names and shapes of the arrays have."""
    header = {ABOUT: json.dumps(about | {"schema": schema})}
    write_atomic(path, save({name: np.asarray(value, order="C") for name, value in arrays.items()}, header))


def read_arrays(path: Path, schema: int, cure: str) -> tuple[dict[str, Any], State]:
    """What `write_arrays` was given: about, and the arrays. DamagedFile: it is not; the error says the `cure`.
    OtherVersion: it is of another schema."""
    try:
        with safe_open(path, "np") as file:
            header = file.metadata() or {}
            about = json.loads(header.get(ABOUT, "{}"))
            check_version(str(path), about.pop("schema", None), schema)
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (ValueError, TypeError, AttributeError, KeyError, SafetensorError):
        raise DamagedFile(f"{path} is damaged: {cure}") from None
