"""Flat binary files: an array's numbers and nothing else, mapped where they lie."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import sha256_file

REBUILD = "delete the corpus folder, or build it again with --overwrite"
STORED = "stored"  # in the facts about a file: the name that it has on the disk, if that is another


def map_flat(path: Path, dtype: str, count: int) -> NDArray[Any]:
    """The `count` numbers in `path`, memory-mapped and read-only. InputError: another size."""
    expected = count * np.dtype(dtype).itemsize
    if path.stat().st_size != expected:
        raise InputError(f"{path} has {path.stat().st_size} bytes, its manifest counts {expected}; {REBUILD}")
    if count == 0:  # an empty file cannot be mapped
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r", shape=(count,)).view(np.ndarray)


def map_offsets(path: Path, num_documents: int, end: int) -> NDArray[np.int64]:
    """Where each document begins, and `end`: (D + 1,). InputError: they do not run from 0 to `end`."""
    offsets = map_flat(path, "int64", num_documents + 1)
    if offsets[0] != 0 or offsets[-1] != end:
        raise InputError(f"{path} runs from {offsets[0]} to {offsets[-1]}, expected 0 to {end}; {REBUILD}")
    return offsets


def file_facts(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of files by name, as a manifest keeps them."""
    return {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in paths}


def check_files(folder: Path, facts: dict[str, dict[str, Any]], verify: bool) -> None:
    """InputError: a file is missing, of another size, or (if `verify`) of another hash than its manifest says."""
    for name, fact in facts.items():
        path = folder / fact.get(STORED, name)
        if not path.is_file():
            raise InputError(f"{path} is missing; {REBUILD}")
        size = path.stat().st_size
        if size != fact["bytes"]:
            raise InputError(f"{path} has {size} bytes, its manifest says {fact['bytes']}; {REBUILD}")
        if verify and sha256_file(path) != fact["sha256"]:
            raise InputError(f"{path} is corrupted: its SHA-256 is not its manifest's; {REBUILD}")
