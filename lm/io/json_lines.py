"""A log: a file of JSON objects, one a line, only ever appended to, by one process or by several in turn.

A line counts once its newline is there. What a killed process left of a last line is passed over; the next writer ends
it with `CUT`, by which readers know it from then on.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .errors import InputError
from .typed_json import parse_json

MAX_LINE = 64 << 20  # bytes
CUT = b"\tcut off\n"  # no line has a tab: JSON writes it as \t


class JsonLines:
    """The log at `path`, which need not be there yet; `max_line`: bytes of its longest line."""

    def __init__(self, path: Path, max_line: int = MAX_LINE) -> None:
        self.path, self.max_line = path, max_line
        self._headed = False

    def append(self, objects: Sequence[Any], heading: Any = None, allow_nan: bool = False) -> None:
        """Add a line for each object and wait until they are on the disk. heading: an object that stands before them,
        added where no line is it yet. InputError: a line would be too long to be read again."""
        lines = [self._line(each, allow_nan) for each in objects]
        head = None if heading is None or self._headed else self._line(heading, allow_nan)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: nobody else's line is in the making
            if head is not None and not self._holds(file, head):
                lines.insert(0, head)
            file.write((CUT if _is_cut(file) else b"") + b"".join(lines))
            file.flush()
            os.fsync(file.fileno())
        self._headed = self._headed or head is not None

    def read(self, cure: str) -> Iterator[tuple[str, Any]]:
        """Where each line stands, for people, and its value; none if there is no file. InputError: a line is too long
        or not JSON; the error says the `cure`."""
        if self.path.exists():
            with open(self.path, "rb") as file:
                for where, line in self._whole_lines(file):
                    yield where, parse_json(line, where, cure)

    @property
    def size(self) -> int:
        """Bytes of the file: a mark to which it can be cut back."""
        return self.path.stat().st_size if self.path.exists() else 0

    def truncate(self, size: int) -> None:
        """Drop what was appended after the mark `size`."""
        if self.size > size:
            os.truncate(self.path, size)

    def _line(self, value: Any, allow_nan: bool) -> bytes:
        line = json.dumps(value, allow_nan=allow_nan).encode() + b"\n"
        if len(line) > self.max_line:
            raise InputError(f"a line of {len(line)} bytes for {self.path}, expected at most {self.max_line}")
        return line

    def _holds(self, file: BinaryIO, line: bytes) -> bool:
        file.seek(0)
        return any(each == line for _, each in self._whole_lines(file))

    def _whole_lines(self, file: BinaryIO) -> Iterator[tuple[str, bytes]]:
        for number, line in enumerate(iter(lambda: file.readline(self.max_line + 1), b""), 1):
            if len(line) > self.max_line:
                raise InputError(f"{self.path} line {number} is longer than {self.max_line} bytes, which none is")
            if line.endswith(b"\n") and not line.endswith(CUT):
                yield f"{self.path} line {number}", line


def _is_cut(file: BinaryIO) -> bool:
    """Whether the last line lacks its newline."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
