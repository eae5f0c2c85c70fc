"""The rows of a csv file. One with stray quotes is told, and reading goes on behind it."""

import csv
import re
import sys
from collections.abc import Iterator

from ..io.errors import in_one_line
from .record import BadFile, BadRow, Values

STRAY = ("with stray quotes", "a quote inside quotes is written twice")
OTHER_COLUMNS = ("with other columns than the header", "expected a value for each column")
LONE_QUOTE = re.compile(r'(^|[^"])"(?:[^"]|$)')  # what comes before it is its group
DELIMITERS = ";\t|,"  # that are common


class CsvRows:
    """The rows of the csv file called `name`, whose lines are given. names: of the columns, without spaces around them;
    blank lines before them are passed over. BadFile: the header is no csv."""

    def __init__(self, name: str, lines: Iterator[str], delimiter: str) -> None:
        csv.field_size_limit(sys.maxsize)  # a document is one field
        self.name, self.delimiter, self._lines = name, delimiter, _Lines(lines)
        self._reader = csv.reader(self._lines, strict=True, delimiter=delimiter)
        try:
            header = next((row for row in self._reader if any(map(str.strip, row))), [])
        except csv.Error as error:
            raise BadFile(f"{name} has no header that is csv ({in_one_line(error)}); mend it") from None
        self.names = [column.strip() for column in header]

    @property
    def hint(self) -> str:
        """For a file in which columns are not found: another delimiter, if one is in the header."""
        other = [mark for mark in DELIMITERS if len(self.names) == 1 and mark in self.names[0]]
        return f"; are its columns separated by {other[0]!r}? then add --csv-delimiter" if other else ""

    def __iter__(self) -> Iterator[tuple[str, Values] | BadRow]:
        """(place, values by column) of each row."""
        number = 0
        while True:
            self._lines.begin_row()
            try:
                row = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield BadRow(self._place(number), *STRAY, in_one_line(error))
                if self._was_not_closed():
                    self._lines.return_all_but_first()
                continue
            if not row:
                continue
            number += 1
            if len(row) == len(self.names):
                yield self._place(number), dict(zip(self.names, row, strict=True))
            else:
                found = f"{len(row)} columns, the header names {len(self.names)}"
                yield BadRow(self._place(number), *OTHER_COLUMNS, found)

    def _was_not_closed(self) -> bool:
        """Whether the last row is bad since a quote was opened and not closed, so that the lines after its first are
        rows of their own: then the next quote opens a field too, or there is none."""
        quote = LONE_QUOTE.search(self._lines.taken[-1])
        return not quote or quote[1] in {"", self.delimiter}

    def _place(self, number: int) -> str:
        return f"{self.name} row {number}, line {self._lines.first}"


class _Lines:
    """Lines, of which those of the last row can be given back. taken: that row's; first: the number of the first of
    them, from 1."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._waiting, self.taken = lines, list[str](), list[str]()
        self.first = 1

    def begin_row(self) -> None:
        self.first += len(self.taken)
        self.taken.clear()

    def return_all_but_first(self) -> None:
        self._waiting += reversed(self.taken[1:])
        del self.taken[1:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.pop() if self._waiting else next(self._lines)
        self.taken.append(line)
        return line
