"""A run folder: the configuration it belongs to, its metrics, and what is needed to go on after a kill."""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from ...env.recording.config_record import CorpusUsed
from ...lm.corpus.corpus import Corpus
from ...lm.io.array_file import read_arrays, write_arrays
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...lm.io.folder_lock import LOCK, lock_folder
from ...lm.io.json_lines import JsonLines
from ...lm.io.state import State
from ...lm.io.typed_json import Natural, to_json
from .run_corpus import RECORD, read_checked

SCHEMA = 4  # of the checkpoint of the stage in flight; in 3 a run had no part whose loss counts
CONFIG = "config.json"
HASHES = "sha256"  # in config.json; runs of earlier versions have none
NAMED = 6  # differing fields of a configuration


@dataclass(frozen=True)
class Stage:
    """A finished stage. result: a JSON value; elapsed_s: in all sessions; metrics_bytes: of the metrics at its end;
    peak_rss_mib: the most memory that the session held which finished it."""

    result: Any
    elapsed_s: float
    metrics_bytes: Natural
    peak_rss_mib: Natural


class RunFolder:
    """config.json, corpus.json (which text it is about), metrics.jsonl, stages.json (results of finished stages) and
    the checkpoint of the stage in flight.

    A line of the metrics counts once the stage or checkpoint that follows it is written: lines after the last such mark
    are dropped on resume, and written again by the work that is repeated. `kept_bytes`: tells the mark of a checkpoint
    that lies elsewhere; `free`: fields of the configuration, or first parts of their names, that may differ from what
    the run began with; `learned`: the hashes of learned policies by their names, which may not."""

    def __init__(
        self,
        path: Path,
        config: Any,
        resume: bool,
        corpus: Corpus,
        kept_bytes: Callable[[], int] = lambda: 0,
        free: tuple[str, ...] = (),
        learned: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path, saved = path, path / CONFIG
        wanted = check_folder(path, config, resume, free, learned)
        path.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(path)
        if not saved.exists():
            write_atomic(path / RECORD, json.dumps(to_json(CorpusUsed.of(corpus))).encode())
            write_atomic(saved, json.dumps(wanted, indent=1).encode())
        stages = path / "stages.json"
        self.stages: dict[str, Stage] = {}
        self._metrics = JsonLines(path / "metrics.jsonl")
        self._checkpoint = path / "checkpoint.safetensors"
        self._elapsed_before = 0.0  # seconds of earlier sessions in the stage in flight
        self._t0 = perf_counter()
        try:
            if stages.exists():
                self.stages = read_checked(stages, dict[str, Stage])
            marks = [stage.metrics_bytes for stage in self.stages.values()]
            self._metrics.truncate(max([kept_bytes(), *marks, self._read_checkpoint()[0].get("metrics_bytes", 0)]))
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Let others work in the folder. A process that ends need not call it."""
        os.close(self._lock)

    def keep_corpus(self, corpus: Corpus) -> None:
        """Have the run go on with this corpus, which may be another one than it began with."""
        if read_checked(self.path / RECORD, CorpusUsed).fingerprint != corpus.fingerprint:
            write_atomic(self.path / RECORD, json.dumps(to_json(CorpusUsed.of(corpus))).encode())

    @property
    def elapsed_s(self) -> float:
        """Seconds of the stage in flight, earlier sessions included."""
        return self._elapsed_before + perf_counter() - self._t0

    def stage(
        self, name: str, work: Callable[[], Any], begun: float | None = None, elapsed_before_s: float = 0.0
    ) -> Any:
        """The result of `work()`, a JSON value; that of an earlier session if the stage was finished then. `begun`: the
        clock's reading, if the stage began before the call; `elapsed_before_s`: in sessions before this one."""
        if name not in self.stages:
            self._elapsed_before, self._t0 = elapsed_before_s, begun or perf_counter()
            result = work()
            self.stages[name] = Stage(result, self.elapsed_s, self._metrics.size, _peak_rss_mib())
            write_atomic(self.path / "stages.json", json.dumps(to_json(self.stages)).encode())
            self._checkpoint.unlink(missing_ok=True)
        return self.stages[name].result

    @property
    def seconds(self) -> dict[str, float]:
        return {name: stage.elapsed_s for name, stage in self.stages.items()}

    @property
    def peak_rss_mib(self) -> int:
        """The most memory that a session held which finished a stage."""
        return max(stage.peak_rss_mib for stage in self.stages.values())

    def log(self, records: list[dict[str, Any]]) -> None:
        """Append them to the metrics, a line each; a loss that is not finite is NaN or Infinity there."""
        self._metrics.append(records, allow_nan=True)

    def save_checkpoint(self, name: str, state: State) -> None:
        """Where the stage in flight stands; replaces the last one, whole or not at all."""
        about = {"name": name, "metrics_bytes": self.metrics_bytes, "elapsed_s": self.elapsed_s}
        write_arrays(self._checkpoint, state, about, SCHEMA)

    @property
    def metrics_bytes(self) -> int:
        """Bytes of the metrics so far, which are on the disk: the mark of a checkpoint."""
        return self._metrics.size

    def load_checkpoint(self, name: str) -> State | None:
        """The state saved under `name`, or None."""
        about, state = self._read_checkpoint()
        if about.get("name") != name:
            return None
        self._elapsed_before, self._t0 = about["elapsed_s"], perf_counter()
        return state

    def _read_checkpoint(self) -> tuple[dict[str, Any], State]:
        """(what it is of, state); both empty if there is none."""
        if not self._checkpoint.exists():
            return {}, {}
        return read_arrays(self._checkpoint, SCHEMA, "delete it, and --resume does the stage in flight again")


def check_folder(
    path: Path, config: Any, resume: bool, free: tuple[str, ...] = (), learned: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """The configuration as a RunFolder keeps it. InputError: the folder is no place for such a run."""
    wanted: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    if learned:
        wanted[HASHES] = dict(learned)
    for place in ("folder", "resume"):  # where and how, not what
        del wanted[place]
    saved = path / CONFIG
    if path.exists() and not saved.exists() and any(not _is_ours(entry.name) for entry in path.iterdir()):
        raise InputError(f"{path} is not empty and holds no run; name another --folder")
    if saved.exists():
        there = read_checked(saved, dict[str, Any])
        _same_config(path, there, {key: wanted[key] for key in wanted if key != HASHES or HASHES in there}, free)
        if not resume:
            raise InputError(
                f"{path} already holds a run of this configuration; add --resume, or name another --folder"
            )
    return wanted


def _is_ours(name: str) -> bool:
    """Whether a folder in which no run has begun may hold this: the first writes of one that was killed."""
    return name in (RECORD, LOCK) or name.endswith(".part")


def _peak_rss_mib() -> int:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def _same_config(path: Path, saved: dict[str, Any], wanted: dict[str, Any], free: tuple[str, ...]) -> None:
    there, here = _flat(saved), _flat(wanted)
    # An empty list that the run's version did not have changes nothing.
    here = {key: value for key, value in here.items() if key in there or value != []}
    fixed = [key for key in sorted({*there, *here}) if not {key, key.partition(".")[0]} & {*free}]
    differ = [key for key in fixed if there.get(key) != here.get(key)]
    if not differ:
        return
    told = "; ".join(f"{key} is {there.get(key)} there, {here.get(key)} here" for key in differ[:NAMED])
    more = f" and {len(differ) - NAMED} more differ" if len(differ) > NAMED else ""
    raise InputError(f"{path} holds a run of another configuration: {told}{more}; name another --folder")


def _flat(config: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(config, dict):
        return {prefix[:-1]: config}
    return {key: value for name, part in config.items() for key, value in _flat(part, f"{prefix}{name}.").items()}
