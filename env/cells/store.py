"""A cell index in a folder: npy files, of which the lists of documents are memory-mapped and the cells read."""

import json
import os
import shutil
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.files import remove_dead_parts, sync_folder
from .builder import LabelledDocuments, build_cells
from .index import CellIndex

SCHEMA = 1
# The file of each field, without .npy: those of cells are read into memory, those of documents are memory-mapped. The
# names are those of version 0.1.0, whose indices stay readable.
CELL_FILES = {"labels_CA": "labels_CA", "windows_C": "windows_C", "tokens_C": "tokens_C"}
DOCUMENT_FILES = {"document_D": "document_R", "start_D": "start_R", "group_start": "group_start_G"}
DAMAGE = (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError, TokenError)  # of a bad npy header
ZEROS = bytes(1 << 20)


def stored_cells(folder: Path, source: LabelledDocuments) -> CellIndex:
    """The index in `folder`, which is built there first if it is absent. Where the folder cannot be written, the index
    is built in memory."""
    if not folder.is_dir():
        try:
            write_cells(folder, source)
        except OSError:
            return build_cells(source)
    return open_cells(folder)


def write_cells(folder: Path, source: LabelledDocuments) -> None:
    """Build the index of `source` in a folder beside `folder`, then rename that to `folder`. OSError: it cannot be
    written. A folder that another process put there meanwhile is left as it is."""
    remove_dead_parts(folder)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        cells = build_cells(
            source, lambda name, length, dtype: _new_array(part / f"{DOCUMENT_FILES[name]}.npy", length, dtype)
        )
        for name, file in [*CELL_FILES.items(), ("group_start", DOCUMENT_FILES["group_start"])]:
            np.save(part / f"{file}.npy", getattr(cells, name))
        del cells  # closes the maps
        (part / "manifest.json").write_text(json.dumps({"schema": SCHEMA}), encoding="utf-8")
        sync_folder(part)
        try:
            os.replace(part, folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def open_cells(folder: Path) -> CellIndex:
    """The index in `folder`, in time that does not grow with its documents. InputError: it is damaged."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        if manifest["schema"] != SCHEMA:
            raise ValueError(f"schema {manifest['schema']}, this version reads {SCHEMA}")
        arrays: dict[str, Any] = {name: np.load(folder / f"{file}.npy") for name, file in CELL_FILES.items()}
        for name, file in DOCUMENT_FILES.items():
            arrays[name] = np.load(folder / f"{file}.npy", mmap_mode="r").view(np.ndarray)
    except (*DAMAGE, KeyError) as error:
        raise InputError(f"{folder} is no whole cell index ({error}); delete it, and it is built again") from None
    return CellIndex(**arrays)


def _new_array(path: Path, length: int, dtype: np.dtype) -> NDArray[Any]:
    """A new npy file of zeros, memory-mapped for writing. The zeros are written out, so that a full disk is an OSError
    here and not a bus error when a page is first touched."""
    array = np.lib.format.open_memmap(path, "w+", dtype, (length,))
    with open(path, "r+b") as file:
        file.seek(array.offset)
        for start in range(0, array.nbytes, len(ZEROS)):
            file.write(ZEROS[: array.nbytes - start])
    return array.view(np.ndarray)
