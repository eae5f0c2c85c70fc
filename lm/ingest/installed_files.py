"""The text files of a Python installation: those of its packages and of the standard library."""

import hashlib
import os
import platform
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from .extract import domains_of

# Packages that differ between two environments made from the same lock file.
EXCLUDED = {"pretraingym", "pip", "wheel"}
EXCLUDED_FOLDERS = {"__pycache__", "site-packages", "dist-packages", "lib-dynload", "node_modules"}
MAX_BYTES = 2_000_000  # larger files are mostly generated tables


@dataclass(frozen=True)
class SourceFile:
    """One text file. name: `<distribution>/<path inside it>`, the same on every machine; size: bytes as installed."""

    name: str
    path: Path
    size: int

    @property
    def distribution(self) -> str:
        """The package that the file belongs to; "python" is the standard library."""
        return self.name.split("/", 1)[0]


def installed_files() -> list[SourceFile]:
    """The files that can give documents, of all installed distributions and the standard library, sorted by name."""
    files: dict[str, SourceFile] = {}
    for distribution in metadata.distributions():
        owner = distribution.metadata["Name"]
        if owner is None or owner.lower().replace("_", "-") in EXCLUDED:
            continue
        for entry in distribution.files or []:
            if entry.size and ".." not in entry.parts and EXCLUDED_FOLDERS.isdisjoint(entry.parts):
                file = SourceFile(f"{owner.lower()}/{entry.as_posix()}", Path(str(entry.locate())), entry.size)
                files.setdefault(file.name, file)
    everything = [*files.values(), *tree_files(Path(sysconfig.get_paths()["stdlib"]), "python")]
    return sorted((file for file in everything if domains_of(file.name)), key=lambda file: file.name)


def tree_files(root: Path, owner: str) -> list[SourceFile]:
    """The files below `root`, named as those of a distribution `owner`."""
    files = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in EXCLUDED_FOLDERS]
        for name in names:
            path = Path(folder, name)
            if path.is_file():
                files.append(SourceFile(f"{owner}/{path.relative_to(root).as_posix()}", path, path.stat().st_size))
    return sorted(files, key=lambda file: file.name)


def read_text(file: SourceFile) -> str:
    """A file's text, or "" if it is missing, too large or not UTF-8 text."""
    if file.size > MAX_BYTES:
        return ""
    try:
        text = file.path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if "\0" in text else text.replace("\r\n", "\n")


def listing_hash(files: Iterable[SourceFile]) -> str:
    """A hash of the names and sizes of `files` and of Python's version: the same for the same installed packages."""
    digest = hashlib.sha256(platform.python_version().encode())
    for file in files:
        digest.update(f"{file.name}\0{file.size}\n".encode())
    return digest.hexdigest()
