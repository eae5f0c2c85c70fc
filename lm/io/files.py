"""Files that are either whole or absent, and names that are nearly right."""

import difflib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}  # errors where nothing may be written


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a crash at any instant, sees the old file or the new one, whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have all files of a folder on the disk, so that a crash after its renaming finds them whole."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def new_part(path: Path) -> Path:
    """A new folder beside `path`, to be filled and renamed to it. What builds of `path` that were killed left there
    is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_dead_parts(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    return part


def remove_dead_parts(path: Path) -> None:
    """Remove what builds of `path` that were killed left beside it; parts of builds that live stay."""
    for part in path.parent.glob(f".{path.name}.*.part"):
        owner = part.name.split(".")[-2]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(part, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def naming_disk_errors(path: Path) -> Iterator[None]:
    """Inside, a full disk under safetensors or tokenizers is the OSError that it is everywhere else."""
    try:
        yield
    except Exception as error:  # tokenizers raises no narrower one
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def guess(name: str, known: Iterable[str]) -> str:
    """A part of an error line, with a space behind it: the nearest known name; "" if none is near."""
    close = difflib.get_close_matches(name, sorted(known), 1)
    return f"did you mean '{close[0]}'? " if close else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """An end for an error line: the nearest known name if one is near, and all of them."""
    names = sorted(set(known))
    return f"{guess(name, names)}known: {', '.join(names)}"
