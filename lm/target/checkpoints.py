"""Checkpoints of a run on any number of ranks: complete or absent, hashed, written while training goes on.

A checkpoint is a folder of safetensors files, one a rank, which hold rows of tensors; another one of rank 0's arrays;
and a manifest that tells which rows are where, with the hash of every file. So any number of ranks reads what any
number wrote. All ranks must see the same folder.
"""

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from threading import Thread, main_thread
from time import monotonic, sleep
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..io.array_file import DamagedFile, check_version, read_arrays, write_arrays
from ..io.errors import InputError, in_one_line
from ..io.files import naming_disk_errors, sha256_file, sync_folder, write_atomic
from .ranks import Ranks

# Before 5 an episode had no part whose loss counts, before 4 no steering text, before 3 no corpus, nor documents an
# end-of-text token; in 1 its arrays had other names.
SCHEMA = 5
MANIFEST, ARRAYS, DAMAGED = "manifest.json", "run.safetensors", "damaged-"
TIMEOUT_S = 900  # how long rank 0 waits for the other ranks' files; less than they wait for it


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `first + len(rows)` of the `total` rows of a tensor."""

    rows: Tensor
    first: int
    total: int


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: `about` as it was saved, rank 0's `arrays`, and in which files the tensors' rows are."""

    path: Path
    about: dict[str, Any]
    arrays: dict[str, NDArray]
    tensors: dict[str, Any]

    def read(self, name: str, first: int, end: int) -> Tensor:
        """Rows of a tensor, at least one. InputError: the checkpoint has no such tensor or not all of these rows."""
        parts, at = [], first
        for file, begin, count in sorted(self.tensors.get(name, {}).get("pieces", ()), key=lambda piece: piece[1]):
            if begin <= at < min(end, begin + count):
                stop = min(end, begin + count)
                with safe_open(self.path / file, "pt") as opened:
                    parts.append(opened.get_slice(name)[at - begin : stop - begin])
                at = stop
        if at < end or name not in self.tensors:
            raise InputError(f"{self.path} lacks rows {at} to {end} of {name}; it is of another model")
        return torch.cat(parts)


class Checkpoints:
    """The checkpoints of one run, in `folder`. The last `keep` stay, and the one with the lowest
    `about["validation_loss_nats"]`."""

    def __init__(self, folder: Path, ranks: Ranks, keep: int = 2) -> None:
        self.folder, self.ranks, self.keep = folder, ranks, keep
        self._writer: Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, pieces: dict[str, Piece], arrays: dict[str, NDArray], about: dict[str, Any]) -> None:
        """Save what the ranks hold after `step` steps; all of them call it. Training may change the tensors as soon as
        it returns. OSError: the checkpoint before could not be written."""
        self.finish()
        part = self.folder / f".step-{step:09d}.part"
        if self.ranks.first:
            for left in self.folder.glob(".step-*.part"):
                shutil.rmtree(left)
            part.mkdir(parents=True)
        rows = _on_the_cpu([piece.rows.detach() for piece in pieces.values()])
        copies = {
            name: Piece(own_rows, piece.first, piece.total)
            for (name, piece), own_rows in zip(pieces.items(), rows, strict=True)
        }
        own = {name: np.array(value, order="C") for name, value in arrays.items()}
        self.ranks.wait()

        def work() -> None:
            try:
                self._write(part, copies)
                if self.ranks.first:
                    self._commit(part, own, about | {"step": step})
            except BaseException as error:  # noqa: BLE001  # raised in the thread that trains, by `finish`
                self._error = error
                shutil.rmtree(part, ignore_errors=True)  # of a full disk, say

        self._writer = Thread(target=work, name="checkpoint")
        self._writer.start()

    def finish(self) -> None:
        """Wait until the last checkpoint is on the disk. OSError: it could not be written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def newest(self) -> Checkpoint | None:
        """The newest complete checkpoint, to be called on one rank; None: the run has saved none. A damaged one is
        renamed, with a warning. InputError: there are only damaged ones, or another version wrote them."""
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                return _open(path, verify=True)
            except PermissionError:
                raise
            except (OSError, ValueError, KeyError, TypeError, AttributeError, DamagedFile) as error:
                why = in_one_line(error)
                warnings.warn(
                    f"the checkpoint {path} is damaged ({why}); trying the one before it, after which all is trained "
                    "again. If it happens often, check the disk",
                    stacklevel=2,
                )
                # Under another name, so that it does not count among those that are kept.
                path.rename(path.with_name(f"{DAMAGED}{path.name}"))
        if damaged := len(list(self.folder.glob(f"{DAMAGED}*"))):
            raise InputError(
                f"all {damaged} checkpoints in {self.folder} are damaged, expected a complete one to go on from; "
                "delete the run's folder to begin anew"
            )
        return None

    def shared(self, found: Checkpoint | None) -> Checkpoint | None:
        """The checkpoint that rank 0 found, on all ranks."""
        step = np.array([-1 if found is None else found.about["step"]])
        if (step := self.ranks.broadcast(step))[0] < 0:
            return None
        return found or _open(self.folder / f"step-{step[0]:09d}", verify=False)

    def _write(self, part: Path, pieces: dict[str, Piece]) -> None:
        """Write this rank's file, and beside it an index of its rows."""
        path = part / f"rank-{self.ranks.rank:05d}.safetensors"
        with naming_disk_errors(path):
            save_file({name: piece.rows for name, piece in pieces.items()}, path)
        rows = {name: [piece.first, len(piece.rows), piece.total] for name, piece in pieces.items()}
        index = {"file": path.name, "bytes": path.stat().st_size, "sha256": _synced_hash(path), "rows": rows}
        write_atomic(path.with_suffix(".json"), json.dumps(index).encode())

    def _commit(self, part: Path, arrays: dict[str, NDArray], about: dict[str, Any]) -> None:
        """On rank 0, once all files are there: write the manifest, rename the folder, and remove older checkpoints."""
        write_arrays(part / ARRAYS, arrays, {}, SCHEMA)
        files = {ARRAYS: sha256_file(part / ARRAYS)}
        tensors: dict[str, Any] = {}
        deadline = monotonic() + TIMEOUT_S
        for rank in range(self.ranks.count):
            index_path = part / f"rank-{rank:05d}.json"
            while not index_path.exists():
                if monotonic() > deadline or not main_thread().is_alive():
                    raise OSError(0, f"rank {rank} wrote nothing for {TIMEOUT_S} s", str(index_path))
                sleep(0.02)
            index = json.loads(index_path.read_text())
            files[index["file"]] = index["sha256"]
            for name, (first, count, total) in index["rows"].items():
                entry = tensors.setdefault(name, {"rows": total, "pieces": []})
                entry["pieces"].append([index["file"], first, count])
            index_path.unlink()
        manifest = {"schema": SCHEMA, "about": about, "files": files, "tensors": tensors}
        write_atomic(part / MANIFEST, json.dumps(manifest | {"sha256": _own_hash(manifest)}).encode())
        sync_folder(part)
        path = self.folder / part.stem.removeprefix(".")
        shutil.rmtree(path, ignore_errors=True)
        os.replace(part, path)
        self._prune()

    def _prune(self) -> None:
        """Remove all but the last `keep` checkpoints and the best."""
        losses = {}
        paths = sorted(self.folder.glob("step-*"))
        for path in paths:
            try:
                about = json.loads((path / MANIFEST).read_text())["about"]
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged: not the best, and not kept for long
            if (loss := about.get("validation_loss_nats")) is not None:
                losses[path] = loss
        best = min(losses, key=lambda path: losses[path], default=None)
        for path in paths[: -self.keep]:
            if path != best:
                shutil.rmtree(path)


def _on_the_cpu(tensors: list[Tensor]) -> list[Tensor]:
    """Copies in memory of their own. From a GPU they go into pinned memory (three times as fast; assumed), which torch
    keeps for the next checkpoint, and are waited for once."""
    copies, gpus = [], {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
    for tensor in tensors:
        pinned = tensor.device in gpus
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu", pin_memory=pinned)
        copies.append(copy.copy_(tensor, non_blocking=pinned))
    for gpu in gpus:
        torch.cuda.synchronize(gpu)
    return copies


def _open(path: Path, verify: bool) -> Checkpoint:
    """The checkpoint in the folder `path`. ValueError and others: it is damaged. OtherVersion: it is whole, and of
    another schema."""
    manifest = json.loads((path / MANIFEST).read_text())
    stated = manifest.pop("sha256")
    if stated != _own_hash(manifest):
        raise ValueError("its manifest is not as it was written")
    check_version(str(path), manifest["schema"], SCHEMA)
    for name, expected in manifest["files"].items():
        if Path(name).name != name:
            raise ValueError(f"file '{name}' is not in the folder")
        if verify and sha256_file(path / name) != expected:
            raise ValueError(f"{name} is not as it was written")
    _, arrays = read_arrays(path / ARRAYS, SCHEMA, "the checkpoint cannot be used")
    return Checkpoint(path, manifest["about"], arrays, manifest["tensors"])


def _own_hash(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _synced_hash(path: Path) -> str:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
    return sha256_file(path)
