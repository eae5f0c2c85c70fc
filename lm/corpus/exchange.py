"""Building a corpus anew under the name of an old one, which stays in use until the new one is whole.

All is done in one hidden folder beside the corpus: `.NAME.build` holds the lock of the process that builds, the new
corpus, and for an instant the old one. A process that is killed leaves that folder. Until both renames are done the old
corpus is at its place, or the new one is whole in the folder; whoever opens or builds the corpus next then ends the
exchange. What else is left in the folder goes with the next build.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from ..io.errors import InputError
from ..io.files import READ_ONLY
from ..io.folder_lock import LOCK, locked
from .manifest import NAME, label_file
from .texts import TEXT, TEXT_OFFSETS
from .token_set import OFFSETS, OTHER, TOKENIZER, TOKENS
from .tokenizer import SETTINGS

OLD = "old"  # the old corpus, once it has left its place
HASH = "[0-9a-f]" * 16
# All that stands in a corpus's folder, as patterns. The last line is of what this package does not write.
PARTS = (
    *(NAME, TEXT, TEXT_OFFSETS, TOKENS, OFFSETS, TOKENIZER, SETTINGS[0], label_file("?*"), OTHER + HASH),
    *(LOCK, ".?*.part"),
    *("card.md", f"cells-{HASH}"),
)


@contextmanager
def built_aside(path: Path, overwrite: bool) -> Iterator[Path]:
    """The path at which to build the corpus that then takes the place of `path`; inside, no other process builds it.
    Leaving the block with an error leaves `path` as it was. overwrite: a corpus may be there, and is replaced.
    InputError: another process builds or labels it, it is there and not to be replaced, it is no corpus, or the folder
    around it cannot be written."""
    path = path.resolve()  # what a link names is replaced, not the link
    work = _work_folder(path)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); name a folder where you may write") from None
    try:
        with locked_corpus(path, work), _cleared(work, path):
            _check_place(path, overwrite)
            with locked_corpus(path) if path.exists() else nullcontext():  # nobody adds labels that would be lost
                new = work / f"{path.name}.new"
                yield new
                _check_place(path, overwrite)
                _exchange(path, new, work)
    finally:
        with suppress(OSError):  # another process may be at work in it
            work.rmdir()


@contextmanager
def locked_corpus(path: Path, at: Path | None = None) -> Iterator[None]:
    """Inside, no other process labels or builds the corpus. at: the folder to lock in place of the corpus's own.
    InputError: one does, or the folder cannot be written."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(at or path, path))
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            reason = f"{path} cannot be written ({error.strerror})"
            raise InputError(f"{reason}; name a folder where you may write, such as a copy of the corpus") from None
        yield


def end_exchange(path: Path) -> None:
    """Put the new corpus at its place if a process was killed after it took the old one away. InputError: it lives,
    or the folder around the corpus cannot be written."""
    path = path.resolve()
    work = _work_folder(path)
    if (work / OLD).is_dir() and not path.exists():
        with locked_corpus(path, work):
            _end_exchange(path, work)


def _work_folder(path: Path) -> Path:
    return path.with_name(f".{path.name}.build")


def _check_place(path: Path, overwrite: bool) -> None:
    """InputError: the folder may not be replaced."""
    if not path.exists():
        return
    if not overwrite:
        raise InputError(f"{path} exists; name a new folder, or add --overwrite to replace the corpus in it")
    if not (path / NAME).is_file() or not (path / TEXT).is_file():
        raise InputError(f"{path} is no corpus, and --overwrite replaces nothing else; name another folder")
    if path.is_mount():
        raise InputError(f"{path} is a mount point, which no folder can replace; name a folder in it")
    names = sorted(entry.name for entry in path.iterdir())
    if foreign := [name for name in names if not any(fnmatchcase(name, part) for part in PARTS)]:
        raise InputError(f"{path} also holds {foreign[0]}, which --overwrite would delete; move it elsewhere first")


def _exchange(path: Path, new: Path, work: Path) -> None:
    replaces = path.exists()
    if replaces:
        os.rename(path, work / OLD)
    os.rename(new, path)
    if replaces:
        os.rename(work / OLD, work / "replaced")  # so that what is half deleted is never taken for the old corpus


def _end_exchange(path: Path, work: Path) -> None:
    new = work / f"{path.name}.new"
    if (work / OLD).is_dir() and not path.exists():
        os.rename(new if new.is_dir() else work / OLD, path)


@contextmanager
def _cleared(work: Path, path: Path) -> Iterator[None]:
    """Inside, the work folder holds nothing but the lock; afterwards again."""
    _clear(work, path)
    try:
        yield
    finally:
        _clear(work, path)


def _clear(work: Path, path: Path) -> None:
    """End an exchange, and remove what is left. What others have open or mapped of it stays readable to them."""
    _end_exchange(path, work)
    for entry in work.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOCK:
            entry.unlink()
