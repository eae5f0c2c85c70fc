"""A table of runs as a csv file has it: names of its columns, and texts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.records.byte_streams import READ_ERRORS, byte_lines, open_bytes
from ...lm.records.csv_rows import DELIMITERS
from ...lm.records.data_files import TABLE, data_file
from ...lm.records.readers import FileReader
from ...lm.records.record import Record, listed

Array = NDArray[np.float64]
IDS = ("index", "id", "run", "run_id", "run_name", "name")  # columns that name a run, in any case


@dataclass(frozen=True)
class Table:
    """The rows of a csv file. places: where each row stands, for messages; texts: by column, a text a row; decimal: the
    mark of numbers, a comma where columns stand apart by semicolons."""

    path: Path
    places: list[str]
    texts: dict[str, list[str]]
    decimal: str

    @property
    def id_name(self) -> str | None:
        """The column that names the runs: one of IDS, or a first column without a name, as pandas writes it."""
        named = [name for name in self.texts if name.lower().replace(" ", "_") in IDS]
        unnamed = [name for name in list(self.texts)[:1] if not name]
        return next(iter([*named, *unnamed]), None)

    @property
    def names(self) -> list[str]:
        """All other columns."""
        return [name for name in self.texts if name != self.id_name]

    def ids(self) -> list[str]:
        """The id of each row; numbers are equal however they are written. InputError: there are two of one."""
        assert self.id_name is not None
        ids = [self._id(text) for text in self.texts[self.id_name]]
        first: dict[str, int] = {}
        for row, own in enumerate(ids):
            if (other := first.setdefault(own, row)) != row:
                raise InputError(
                    f"{self.places[row]}: {self.id_name or 'the first column'} is '{own}', which {self.places[other]} "
                    "has too, expected another for each run; take one out"
                )
        return ids

    def numbers(self, names: list[str], expected: str, at_least: float = -np.inf) -> Array:
        """The numbers of these columns, (runs, names). InputError: a cell is no number from `at_least` up, which is to
        be what `expected` says."""
        for name in names:
            if name not in self.texts:
                raise InputError(f"{self.path} has no column '{name}'; {nearest(name, self.names)}")
        values = np.empty((len(self.places), len(names)))
        for index, name in enumerate(names):
            for row, text in enumerate(self.texts[name]):
                number = self._number(text)
                if number is None or not at_least <= number < np.inf or number == -np.inf:
                    raise InputError(f"{self.places[row]}: '{name}' is '{text}', expected {expected}")
                values[row, index] = number
        return values

    def _number(self, text: str) -> float | None:
        return _number(text.replace(self.decimal, "."))

    def _id(self, text: str) -> str:
        number = self._number(text)
        return text.strip() if number is None or not np.isfinite(number) else f"{number:.17g}"


def read_table(path: Path) -> Table:
    """A csv or tsv file, also compressed; columns stand apart by the mark that its header has most of. InputError: it
    is no such file, has no header or no rows, or a row has other columns."""
    if data_file(path).kind not in TABLE:
        raise InputError(f"{path} is no table, expected a .csv or .tsv file")
    delimiter = _delimiter(path)
    places: list[str] = []
    texts: dict[str, list[str]] = {}
    for record in FileReader(refuse_invalid_utf8=True, delimiter=delimiter).records([path]):
        if not isinstance(record, Record):
            raise record
        places.append(record.place)
        for name, text in record.values.items():
            texts.setdefault(name, []).append(text)
    if not places:
        raise InputError(f"{path} has no rows, expected a header and a row for each run")
    table = Table(path, places, texts, "," if delimiter == ";" else ".")
    if "" in table.names:
        raise InputError(f"{path} has a column without a name among {listed(list(texts))}; name it, or take it out")
    if len(table.names) > 1 and all(_number(name) is not None and not name.isdecimal() for name in table.names):
        raise InputError(f"{path} has the numbers {listed(list(texts))} where names are expected; add a header")
    return table


def _delimiter(path: Path) -> str:
    """The mark that is most often in the header; a comma where none is."""
    try:
        with open_bytes(path) as (stream, _):
            header = next((line for line in byte_lines(stream) if line.strip()), b"").decode("utf-8", "replace")
    except READ_ERRORS:
        return ","  # reading the rows tells what is wrong
    return max("," + DELIMITERS, key=header.count)


def _number(text: str) -> float | None:
    """What the text says, if it is a number. In a table 1_10 is none, though Python reads it as 110."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
