"""Which files are data: names, patterns and folders; and what the name of a file says of its content."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from ..io.errors import InputError

COMPRESSED = {".gz", ".zst", ".bz2"}
TEXT, JSON_LINES, TABLE, PARQUET = {".txt", ".text"}, {".jsonl", ".ndjson", ".json"}, {".csv", ".tsv"}, {".parquet"}
KNOWN = ".txt, .jsonl, .csv, .tsv (or these with .gz, .zst, .bz2) or .parquet files"
# Files of a folder that tell of data or of a model and hold none; `datasets` passes over most of them too.
METADATA = {
    "config.json", "croissant.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json",
    "generation_config.json", "special_tokens_map.json", "state.json", "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip
PASSED_OVER = "files in folders that are hidden, metadata or of another type, left out"
NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # Hive's name for a missing value


@dataclass(frozen=True)
class DataFile:
    """A file of data. stem: its name without suffixes; kind: the suffix that tells how to read it, in small letters;
    partitions: columns that its folders give, as lang=en/part-0.parquet does."""

    path: Path
    stem: str
    kind: str
    partitions: dict[str, str | None] = field(default_factory=dict)


def data_file(path: Path) -> DataFile:
    """What the name of a file says. InputError: no type that can be read."""
    kind = _kind(path)
    if not kind:
        raise InputError(f"{path} is no file that can be read, expected {KNOWN}")
    plain = path.with_suffix("") if path.suffix.lower() in COMPRESSED else path
    pairs = [part.partition("=") for part in path.parent.parts if "=" in part]
    partitions = {
        _valid(unquote(key)): None if value == NO_PARTITION else _valid(unquote(value)) for key, _, value in pairs
    }
    return DataFile(path, _valid(plain.stem), kind, partitions)


def expand(patterns: Iterable[str], counts: Counter[str] | None = None) -> list[Path]:
    """Files given by name, pattern (*, **) or folder, each once; those of a pattern or folder are sorted by name. What
    is no data there is passed over and counted. InputError: nothing is found, or a file named outright has no type that
    can be read."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        if not pattern.strip():
            raise InputError("a file is named '', expected a name, a pattern or a folder: is a shell variable empty?")
        path = Path(pattern)
        if path.is_file():
            names = [data_file(path).path]
        else:
            inside = list(_walk(path) if path.is_dir() else _matches(pattern))
            names = sorted(path for path, is_data in inside if is_data)
            if counts is not None:
                counts[PASSED_OVER] += len(inside) - len(names)
        if not names and (path / "state.json").is_file():
            raise InputError(
                f"{path} is what save_to_disk of datasets wrote: --source dataset --dataset {path} reads it"
            )
        if not names:
            raise InputError(f"no files are called {pattern}; name files, patterns in quotes, or folders with {KNOWN}")
        found |= dict.fromkeys(names)
    return list(found)


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """(file, whether it is data) of a folder and those in it; hidden folders are not entered."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in names:
            yield Path(place, name), _is_data(Path(name))


def _matches(pattern: str) -> Iterator[tuple[Path, bool]]:
    for name in glob.glob(pattern, recursive=True):
        path = Path(name)
        if path.is_file():
            hidden = any(_is_hidden(part) and part not in Path(pattern).parts for part in path.parts[:-1])
            yield path, not hidden and _is_data(path)


def _is_data(path: Path) -> bool:
    return not path.name.startswith(".") and path.name.lower() not in METADATA and _kind(path) != ""


def _is_hidden(folder: str) -> bool:
    """As .git, .ipynb_checkpoints, __MACOSX, _delta_log and _temporary are."""
    return folder.startswith((".", "__")) or folder in {"_delta_log", "_temporary", "_spark_metadata"}


def _kind(path: Path) -> str:
    """The suffix, in small letters, that tells how to read a file; "" for one that cannot be read."""
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        return suffix
    inner = path.with_suffix("").suffix.lower() if suffix in COMPRESSED else suffix
    return inner if inner in TEXT | JSON_LINES | TABLE else ""


def _valid(name: str) -> str:
    """A file's name as text, with U+FFFD for bytes that are no UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
