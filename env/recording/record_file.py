"""A file of finished episodes, each replayable: one JSON object a line, only ever appended to.

A config (`config_record.py`) comes before the first episode (`episode_record.py`) that names its hash. Floats are
exact; what is not finite, or not in play, is null. An episode that was run twice, after a kill, may be there twice.
"""

from pathlib import Path
from typing import Any

from ...lm.io.errors import InputError
from ...lm.io.json_lines import JsonLines
from .config_record import ConfigRecord
from .episode_record import EpisodeRecord

START = b'{"kind": "config"'


def read_records(path: Path) -> tuple[dict[str, ConfigRecord], list[EpisodeRecord]]:
    """The configs of a file by their hash, and its episodes in order. InputError with the number of the line that holds
    anything else."""
    configs: dict[str, ConfigRecord] = {}
    episodes = []
    if not path.is_file():
        raise InputError(f"{path} is not a file: give a run's episodes.jsonl, or what an environment's `records` named")
    for where, value in JsonLines(path).read("restore the file or take out the line"):
        kind = value.get("kind") if isinstance(value, dict) else None
        if kind == "config":
            config = ConfigRecord.from_json(value, where)
            configs[value["hash"]] = config
        elif kind == "episode":
            episodes.append(EpisodeRecord.from_json(value, where, configs))
        else:
            raise InputError(f"{where} is of kind {repr(kind)[:80]}, expected 'config' or 'episode'")
    return configs, episodes


class RecordFile:
    """Appends the episodes of one config to a file that other processes may append to as well. InputError: `path` is
    something else, or the setting cannot be read again."""

    def __init__(self, path: Path, config: ConfigRecord) -> None:
        self.path = Path(path)
        self._log = JsonLines(self.path)
        self._config = config.as_json()
        self.hash: str = self._config["hash"]
        if self.path.exists():
            if not self.path.is_file():
                raise InputError(f"{self.path} is not a file: name a file for the records")
            with open(self.path, "rb") as file:
                start = file.read(len(START))
            if start != START[: len(start)]:
                raise InputError(f"{self.path} is there and holds no records: name another file for them")

    def append(self, episodes: list[dict[str, Any]]) -> None:
        """Add these lines' objects, and wait until they are on disk."""
        lines = [{"kind": "episode", "config": self.hash, **episode} for episode in episodes]
        self._log.append(lines, heading=self._config)
