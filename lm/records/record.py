"""What a reader yields: a record, or a fault in its place."""

from collections.abc import Collection, Iterable
from decimal import Decimal
from itertools import islice
from typing import Any, NamedTuple

from ..io.errors import InputError

Values = dict[str, Any]

MISSING_CURE = "name yours with --columns, or of a reference task with --reference-text or --reference-group"


class Record(NamedTuple):
    """One record of a data file or dataset. place: file and line or row, for messages; stem: the name of its file
    without suffixes; values: by column."""

    place: str
    stem: str
    values: Values


class BadRow(InputError):
    """One row that cannot be used, while the rows after it can. kind: what is wrong, in words that are the same for
    all rows with this fault, as in: "without a JSON object"; cure: what to do, or what is expected; found: what this
    row has, for the message."""

    def __init__(self, place: str, kind: str, cure: str, found: str = "") -> None:
        self.place, self.kind, self.found, self.cure = place, kind, found, cure
        super().__init__(f"{self.where}: a row {kind}; {cure}")

    @property
    def where(self) -> str:
        """The place and what was found there."""
        return f"{self.place} ({self.found})" if self.found else self.place


class BadFile(InputError):
    """A file that cannot be used, or not beyond some row; other files can."""


def missing_columns(required: Iterable[str], present: Collection[str]) -> str:
    """What to say of a table without a required column (a name, or a path into a nested column); "" if it has all."""
    missing = [path for path in required if path not in present and path.split(".")[0] not in present]
    return f"has no column {listed(missing)}, only {listed(present)}; {MISSING_CURE}" if missing else ""


def kind_of(value: Any) -> str:
    """The type of a value, in the words of data files."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return "a map"  # of parquet
    words = {bool: "true or false", dict: "a map", list: "a list", str: "text", type(None): "null"}
    words |= dict.fromkeys((int, float, Decimal), "a number")
    return words.get(type(value), f"a {type(value).__name__}")


def listed(names: Collection[str]) -> str:
    """Names for a message: the first ten of them, quoted."""
    shown = ", ".join(map(repr, islice(names, 10)))
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
