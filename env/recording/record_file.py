"""A file of finished episodes, each replayable: one JSON object a line, only ever appended to.

A config (`config_record.py`) comes before the first episode (`episode_record.py`) that names its hash. Floats are
exact; what is not finite, or not in play, is null. A line counts once its newline is there. What a killed process left
of a last line is passed over; the next writer ends it with `CUT`, by which readers know it from then on. An episode
that was run twice, after a kill, may be there twice.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from .config_record import ConfigRecord
from .episode_record import EpisodeRecord

MAX_LINE = 64 << 20  # bytes
CUT = b"\tcut off\n"  # no record has a tab
START = b'{"kind": "config"'


def read_records(path: Path) -> tuple[dict[str, ConfigRecord], list[EpisodeRecord]]:
    """The configs of a file by their hash, and its episodes in order. InputError with the number of the line that holds
    anything else."""
    configs: dict[str, ConfigRecord] = {}
    episodes = []
    if not path.is_file():
        raise InputError(f"{path} is not a file: give a run's episodes.jsonl, or what an environment's `records` named")
    with open(path, "rb") as file:
        for where, line in _lines(file, str(path)):
            value = schema.parse_json(line, where, "restore the file or take out the line")
            kind = value.get("kind") if isinstance(value, dict) else None
            if kind == "config":
                configs[value.get("hash")] = ConfigRecord.from_json(value, where)
            elif kind == "episode":
                episodes.append(EpisodeRecord.from_json(value, where, configs))
            else:
                raise InputError(f"{where} is of kind {repr(kind)[:80]}, expected 'config' or 'episode'")
    return configs, episodes


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Where each whole line is, for people, and its bytes."""
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE + 1), b""), 1):
        if len(line) > MAX_LINE:
            raise InputError(f"{name} line {number} is longer than {MAX_LINE} bytes, which no record is")
        if line.endswith(b"\n") and not line.endswith(CUT):
            yield f"{name} line {number}", line


class RecordFile:
    """Appends the episodes of one config to a file that other processes may append to as well. InputError: `path` is
    something else, or the setting cannot be read again."""

    def __init__(self, path: Path, config: ConfigRecord) -> None:
        self.path = Path(path)
        self._config = config.as_json()
        self.hash: str = self._config["hash"]
        self._has_config = False
        if self.path.exists():
            if not self.path.is_file():
                raise InputError(f"{self.path} is not a file: name a file for the records")
            with open(self.path, "rb") as file:
                start = file.read(len(START))
            if start != START[: len(start)]:
                raise InputError(f"{self.path} is there and holds no records: name another file for them")

    def append(self, episodes: list[dict[str, Any]]) -> None:
        """Add these lines' objects, and wait until they are on disk."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: nobody else's line is in the making
            lines = [] if self._has_config or self._holds_config(file) else [self._config]
            lines += [{"kind": "episode", "config": self.hash, **episode} for episode in episodes]
            data = b"".join(json.dumps(line, allow_nan=False).encode() + b"\n" for line in lines)
            file.write((CUT if _is_cut(file) else b"") + data)
            file.flush()
            os.fsync(file.fileno())
        self._has_config = True

    def _holds_config(self, file: BinaryIO) -> bool:
        file.seek(0)
        wanted = START + f', "hash": "{self.hash}"'.encode()
        return any(line.startswith(wanted) for _, line in _lines(file, str(self.path)))


def _is_cut(file: BinaryIO) -> bool:
    """Whether the last line lacks its newline."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
