"""Records of data files: text, jsonl, csv and tsv (each also .gz, .zst or .bz2) and parquet."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from ..io.errors import InputError, in_one_line
from .byte_streams import BUFFER, READ_ERRORS, byte_lines, open_bytes
from .csv_rows import CsvRows
from .data_files import JSON_LINES, PARQUET, TABLE, DataFile, data_file
from .parquet_rows import parquet_rows
from .record import BadFile, BadRow, Record, kind_of, missing_columns

INVALID_UTF8 = "rows with invalid UTF-8, replaced"  # in the manifests of corpora, and in their fingerprints
NO_OBJECT = ("without a JSON object", "expected one object a line")
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class FileReader:
    """Reads records file by file. columns: the ones to read of a table, None for all; required: those, or paths into
    nested ones, that a table must have; document_a_line: each line of a text file is a record (else the whole file is
    one); delimiter: between the columns of csv ("": a comma, of .tsv a tab); counts: is added to where invalid UTF-8 is
    replaced."""

    columns: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    document_a_line: bool = False
    refuse_invalid_utf8: bool = False
    delimiter: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    _sizes: list[int] = field(default_factory=list, init=False)
    _read: int = field(default=0, init=False)  # files that are read
    _position: Callable[[], int] = field(default=int, init=False)  # in the file that is being read, bytes

    def records(
        self, paths: Iterable[Path], progress: Callable[[float], None] | None = None
    ) -> Iterator[Record | BadRow | BadFile]:
        """The records of the files `paths`, in order, and a fault in place of each row and file that gives none;
        `progress` is told the share of the bytes that is read. InputError: invalid UTF-8 where it is refused."""
        files = [data_file(path) for path in paths]
        self._sizes, self._read = [_size(file.path) for file in files], 0
        for file in files:
            rows = 0
            try:
                for record in self._records(file):
                    yield record
                    rows += 1
            except BadFile as fault:
                yield fault
            except READ_ERRORS as error:
                after = f" after {rows:,} rows" if rows else ""
                why = getattr(error, "strerror", None) or in_one_line(error)
                yield BadFile(f"{file.path} cannot be read{after} ({why}), expected a whole file of its name's type")
            self._read, self._position = self._read + 1, int
            if progress:
                progress(sum(self._sizes[: self._read]) / max(sum(self._sizes), 1))

    def share_read(self) -> float:
        """The share of the bytes whose records are surely yielded: what is read ahead does not count; in [0, 1]."""
        ahead = max(0, self._position() - 2 * BUFFER)
        return (sum(self._sizes[: self._read]) + ahead) / max(sum(self._sizes), 1)

    def _records(self, file: DataFile) -> Iterator[Record | BadRow]:
        if file.kind in PARQUET:
            yield from self._parquet(file)
            return
        with open_bytes(file.path) as (stream, self._position):
            if file.kind in JSON_LINES:
                yield from self._json(file, stream)
            elif file.kind in TABLE:
                yield from self._csv(file, stream)
            else:
                yield from self._text(file, stream)

    def _text(self, file: DataFile, stream: BufferedReader) -> Iterator[Record]:
        if self.document_a_line:
            for number, line in self._lines(file, stream):
                yield Record(f"{file.path} line {number}", file.stem, {**file.partitions, "text": line.rstrip("\r\n")})
        else:
            text = self._decode(b"".join(byte_lines(stream)), str(file.path))
            yield Record(str(file.path), file.stem, {**file.partitions, "text": text})

    def _json(self, file: DataFile, stream: BufferedReader) -> Iterator[Record | BadRow]:
        name, stem, partitions, decode = str(file.path), file.stem, file.partitions, json.JSONDecoder().decode
        for number, line in self._lines(file, stream):
            if line.isspace():
                continue
            place = f"{name} line {number}"
            try:
                values = decode(line)
            except json.JSONDecodeError as error:
                why = f"{error.msg}, column {error.colno}"
            except (ValueError, RecursionError) as error:
                why = in_one_line(error)
            else:
                why = "" if isinstance(values, dict) else kind_of(values)
            if why:
                yield BadRow(place, *NO_OBJECT, why)
                continue
            if "\\ud" in line or "\\uD" in line:
                mended = _without_surrogates(values)
                if mended != values:
                    self._replaced(f"{place} has half of a surrogate pair")
                values = mended
            yield Record(place, stem, partitions | values if partitions else values)

    def _csv(self, file: DataFile, stream: BufferedReader) -> Iterator[Record | BadRow]:
        lines = (line for _, line in self._lines(file, stream))
        rows = CsvRows(str(file.path), lines, self.delimiter or ("\t" if file.kind == ".tsv" else ","))
        if not rows.names:
            return
        self._check_columns(file, rows.names, rows.hint)
        for row in rows:
            if isinstance(row, BadRow):
                yield row
            else:
                place, values = row
                yield Record(place, file.stem, file.partitions | values)

    def _parquet(self, file: DataFile) -> Iterator[Record]:
        from pyarrow.parquet import ParquetFile

        number = 0
        with ParquetFile(file.path) as table:
            names, size, rows = table.schema_arrow.names, file.path.stat().st_size, max(table.metadata.num_rows, 1)
            self._position = lambda: size * number // rows
            self._check_columns(file, names)
            present = [name for name in names if self.columns is None or name in self.columns]
            for values in parquet_rows(table, present):
                number += 1
                place = f"{file.path} row {number}"
                plain = {
                    name: self._decode(value, place) if isinstance(value, bytes) else value
                    for name, value in values.items()
                }
                yield Record(place, file.stem, file.partitions | plain if file.partitions else plain)

    def _check_columns(self, file: DataFile, names: list[str], hint: str = "") -> None:
        """BadFile: a table lacks a column that is required, or has two of one name of those that are read."""
        read = [name for name in names if (name if self.columns is None else name in self.columns)]
        if double := [name for name in read if read.count(name) > 1]:
            raise BadFile(f"{file.path} has two columns called {double[0]!r}; rename one")
        if missing := missing_columns(self.required, [*names, *file.partitions]):
            raise BadFile(f"{file.path} {missing}{hint}")

    def _lines(self, file: DataFile, stream: BufferedReader) -> Iterator[tuple[int, str]]:
        """(number, line) of every line."""
        for number, line in enumerate(byte_lines(stream), 1):
            try:
                yield number, line.decode()
            except UnicodeDecodeError:
                yield number, self._decode(line, f"{file.path} line {number}")

    def _decode(self, data: bytes, place: str) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            self._replaced(f"{place} is not UTF-8 ({error.reason} at byte {error.start})")
            return data.decode("utf-8", "replace")

    def _replaced(self, what: str) -> None:
        if self.refuse_invalid_utf8:
            raise InputError(f"{what}; mend it")
        self.counts[INVALID_UTF8] += 1


def _size(path: Path) -> int:
    """Bytes of a file; 0 if it is gone, which is told when it is read."""
    return path.stat().st_size if path.exists() else 0


def _without_surrogates(value: Any) -> Any:
    """`value` with U+FFFD for halves of surrogate pairs, which JSON can write and no text can hold."""
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return SURROGATE.sub("\ufffd", value) if isinstance(value, str) else value
