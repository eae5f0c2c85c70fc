"""An append-only file of records of arrays: a record is there whole or not at all. Nothing is ever unpickled."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np

from ..lm.errors import InputError

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

    InputError: a record that others follow is damaged."""
    data = path.read_bytes() if path.exists() else b""
    records, start = [], 0
    while start < len(data):
        end = start + HEAD + int.from_bytes(data[start + 4 : start + 12], "little")
        payload = data[start + HEAD : end]
        whole = data.startswith(MAGIC, start) and hashlib.sha256(payload).digest() == data[start + 12 : start + HEAD]
        if not whole and end < len(data):
            raise InputError(f"{path} is damaged at byte {start}: delete it to start anew, or restore it")
        if not whole:
            os.truncate(path, start)
            break
        with np.load(io.BytesIO(payload)) as arrays:
            records.append({name: arrays[name] for name in arrays.files})
        start = end
    return records
