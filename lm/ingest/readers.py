"""Records of data files: text, jsonl, csv (each also .gz, .zst or .bz2) and parquet, and of any `datasets` dataset."""

import csv
import glob
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..io.errors import InputError

Values = dict[str, Any]
BYTE_ORDER_MARK = "\ufeff"  # which some programs write first
COMPRESSED = {".gz", ".zst", ".bz2"}
TEXT, JSON_LINES, TABLE, PARQUET = {".txt", ".text"}, {".jsonl", ".ndjson", ".json"}, {".csv"}, {".parquet"}
INVALID_UTF8 = "rows with invalid UTF-8, replaced"  # in the manifests of corpora, and in their fingerprints
PARQUET_BATCH = 256  # rows at a time


@dataclass(frozen=True)
class Record:
    """One record of a data file or dataset. place: file and line or row, for messages; stem: the name of its file
    without suffixes; values: by column."""

    place: str
    stem: str
    values: Values


@dataclass
class FileReader:
    """Reads records file by file. `columns`: the ones to read of parquet, None for all; `document_a_line`: each line of
    a text file is a record (else the whole file is one); `counts`: is added to where invalid UTF-8 is replaced."""

    columns: tuple[str, ...] | None = None
    document_a_line: bool = False
    refuse_invalid_utf8: bool = False
    counts: Counter[str] | None = None

    def records(self, paths: Iterable[Path], progress: Callable[[float], None] | None = None) -> Iterator[Record]:
        """The records of the files `paths`, in order; `progress` is told the share of the bytes that is read."""
        paths = list(paths)
        sizes = [path.stat().st_size for path in paths]
        for number, path in enumerate(paths):
            stem, kind = _kind(path)
            try:
                if kind in PARQUET:
                    yield from self._parquet(path, stem)
                else:
                    with _open(path) as stream:
                        if kind in TEXT:
                            yield from self._text(path, stem, stream)
                        else:
                            read = self._json if kind in JSON_LINES else self._csv
                            yield from read(path, stem, self._lines(path, stream))
            except (OSError, EOFError, ValueError, csv.Error) as error:
                if isinstance(error, OSError) and error.errno:  # of the disk, not of the file's content
                    raise
                raise InputError(
                    f"{path} cannot be read ({_first_line(error)}), expected a complete file of the type that its "
                    "name says"
                ) from None
            if progress:
                progress(sum(sizes[: number + 1]) / max(sum(sizes), 1))

    def _text(self, path: Path, stem: str, stream: BinaryIO) -> Iterator[Record]:
        if self.document_a_line:
            for place, line in self._lines(path, stream):
                yield Record(place, stem, {"text": line.rstrip("\r\n")})
        else:
            yield Record(str(path), stem, {"text": self._decode(stream.read(), str(path))})

    def _json(self, path: Path, stem: str, lines: Iterator[tuple[str, str]]) -> Iterator[Record]:
        for place, line in lines:
            if line.isspace():
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place} is no JSON ({error}), expected one object a line") from None
            if not isinstance(values, dict):
                raise InputError(f"{place} holds a {type(values).__name__}, expected one JSON object a line")
            yield Record(place, stem, values)

    def _csv(self, path: Path, stem: str, lines: Iterator[tuple[str, str]]) -> Iterator[Record]:
        csv.field_size_limit(sys.maxsize)  # a document is one field
        reader = csv.DictReader((line for _, line in lines), strict=True)
        for number, values in enumerate(reader):
            place = f"{path} row {number + 1}"
            if None in values or None in values.values():
                raise InputError(
                    f"{place} has other columns than the header, which names {', '.join(reader.fieldnames or ())}"
                )
            yield Record(place, stem, values)

    def _parquet(self, path: Path, stem: str) -> Iterator[Record]:
        import pyarrow
        from pyarrow.parquet import ParquetFile

        number = 0
        with ParquetFile(path) as file:
            present = [name for name in file.schema_arrow.names if self.columns is None or name in self.columns]
            if not present and file.metadata.num_rows:
                raise InputError(
                    f"{path} has none of the columns {', '.join(map(repr, sorted(self.columns or ())))}, only "
                    f"{', '.join(map(repr, file.schema_arrow.names))}"
                )
            for batch in file.iter_batches(PARQUET_BATCH, columns=present):
                # As bytes, so that one invalid character does not fail the batch.
                fields = [
                    field.with_type(pyarrow.large_binary())
                    if field.type in (pyarrow.string(), pyarrow.large_string())
                    else field
                    for field in batch.schema
                ]
                for values in batch.cast(pyarrow.schema(fields)).to_pylist():
                    number += 1
                    place = f"{path} row {number}"
                    yield Record(place, stem, {key: self._decoded(value, place) for key, value in values.items()})

    def _decoded(self, value: Any, place: str) -> Any:
        return self._decode(value, place) if isinstance(value, bytes) else value

    def _lines(self, path: Path, stream: BinaryIO) -> Iterator[tuple[str, str]]:
        """(place, line) of every line."""
        for number, line in enumerate(stream, 1):
            place = f"{path} line {number}"
            text = self._decode(line, place)
            yield place, text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text

    def _decode(self, data: bytes, place: str) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            if self.refuse_invalid_utf8:
                raise InputError(f"{place} is not UTF-8 ({error.reason} at byte {error.start}); mend it") from None
            if self.counts is not None:
                self.counts[INVALID_UTF8] += 1
            return data.decode("utf-8", "replace")


def dataset_records(name: str, config: str | None, split: str, streaming: bool) -> Iterator[Record]:
    """Records of a dataset: its name on the hub, the path of a folder of data files, or that of a folder that
    `save_to_disk` wrote."""
    import datasets

    try:
        if (Path(name) / "state.json").is_file() or (Path(name) / "dataset_dict.json").is_file():
            found = datasets.load_from_disk(name)
            found = found[split] if isinstance(found, datasets.DatasetDict) else found
        else:
            found = datasets.load_dataset(name, config, split=split, streaming=streaming)
        stem = Path(name).name
        for number, values in enumerate(found):
            yield Record(f"{name} row {number + 1}", stem, values)
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise InputError(f"dataset '{name}', split '{split}', cannot be read: {_first_line(error)}") from None


def expand(patterns: Iterable[str]) -> list[Path]:
    """Files given by name, pattern (*, **) or folder, each once; those of a pattern or folder are sorted by name."""
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            names = sorted(file for file in path.rglob("*") if file.is_file() and _kind(file, strict=False)[1])
        elif path.is_file():
            names = [path]
        else:
            names = sorted(Path(name) for name in glob.glob(pattern, recursive=True))
        if not names:
            raise InputError(f"no files are called {pattern}; name files, patterns in quotes, or folders with {KNOWN}")
        found |= dict.fromkeys(names)
    return list(found)


KNOWN = ".txt, .jsonl, .csv (or these with .gz, .zst, .bz2) or .parquet files"


def _kind(path: Path, strict: bool = True) -> tuple[str, str]:
    """(name without suffixes, the suffix that tells how to read it)."""
    plain = path.with_suffix("") if path.suffix in COMPRESSED else path
    known = plain.suffix in TEXT | JSON_LINES | TABLE or path.suffix in PARQUET
    if strict and not known:
        raise InputError(f"{path} is no file that can be read, expected {KNOWN}")
    return plain.stem, plain.suffix if known else ""


def _open(path: Path) -> BinaryIO:
    if path.suffix not in COMPRESSED:
        return open(path, "rb")
    import pyarrow

    return io.BufferedReader(pyarrow.input_stream(str(path), compression="detect"), 1 << 20)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [repr(error)])[0]
