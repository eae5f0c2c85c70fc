"""An append-only file of records of arrays: a record is there whole or not at all. Nothing is ever unpickled."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np

from ...lm.io.errors import InputError

Record = dict[str, np.ndarray]
MAGIC = b"PGJ1"
HEAD = len(MAGIC) + 8 + 32  # magic, length of the payload, SHA-256 of the payload


def append_record(path: Path, record: Record) -> None:
    """Add a record at the end and wait until it is on disk."""
    payload = io.BytesIO()
    np.savez(payload, **record)  # type: ignore[arg-type]
    data = payload.getvalue()
    with open(path, "ab") as file:
        file.write(MAGIC + len(data).to_bytes(8, "little") + hashlib.sha256(data).digest() + data)
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[Record]:
    """All whole records, none if there is no file. What a crash left of a last one is cut off the file.

    InputError: a record is damaged and no crash's doing: it ends within the file, or whole ones follow."""
    data = path.read_bytes() if path.exists() else b""
    records, start = [], 0
    while start < len(data):
        payload = _payload(data, start)
        if payload is None:
            if _end(data, start) < len(data) or _follows(data, start):
                raise InputError(f"{path} is damaged at byte {start}: delete it to start anew, or restore it")
            os.truncate(path, start)
            break
        with np.load(io.BytesIO(payload)) as arrays:
            records.append({name: arrays[name] for name in arrays.files})
        start = _end(data, start)
    return records


def _end(data: bytes, start: int) -> int:
    return start + HEAD + int.from_bytes(data[start + 4 : start + 12], "little")


def _payload(data: bytes, start: int) -> bytes | None:
    """Of the record at `start`, None if it is not whole."""
    payload = data[start + HEAD : _end(data, start)]
    whole = data.startswith(MAGIC, start) and hashlib.sha256(payload).digest() == data[start + 12 : start + HEAD]
    return payload if whole else None


def _follows(data: bytes, start: int) -> bool:
    """Whether a whole record begins anywhere after `start`."""
    while (start := data.find(MAGIC, start + 1)) >= 0:
        if _payload(data, start) is not None:
            return True
    return False
