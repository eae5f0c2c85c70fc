"""One process at a time at work in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import InputError

LOCK = ".lock"


def lock_folder(folder: Path, name: Path | None = None) -> int:
    """Lock a folder for this process, and return the open file that holds the lock. It ends when the file is closed, or
    with the process, however that ends. name: the folder that the lock is about, if it stands in another. InputError:
    another process holds it."""
    path = folder / LOCK
    busy = InputError(f"another process is at work in {name or folder}; wait for it, or name another folder")
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:  # another process just took the folder away
            raise busy from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise busy from None
        if _names(path, file):
            return file
        os.close(file)  # of a lock that its holder removed meanwhile: the next one is another file


@contextmanager
def locked(folder: Path, name: Path | None = None) -> Iterator[None]:
    """Inside, the folder is locked as by `lock_folder`; afterwards no file in it tells of it."""
    file = lock_folder(folder, name)
    try:
        yield
    finally:
        if _names(folder / LOCK, file):  # not if the folder was moved inside, and another one is at its place
            (folder / LOCK).unlink()
        os.close(file)


def _names(path: Path, file: int) -> bool:
    """Whether it is this open file that has the name."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
