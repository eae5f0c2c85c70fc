"""Documents on their way into a corpus, and how a record becomes one."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..io.errors import InputError
from ..records.faults import Faults
from ..records.record import MISSING_CURE, BadFile, BadRow, Record, Values, kind_of, listed

DOMAIN = "domain"  # the label of where a document comes from
MAX_BYTES = 1 << 20  # of a document: more than any context; longer text is split
# What is counted: these texts are in the manifests of corpora, and in their fingerprints.
EMPTY, SPLIT, MISSING = "documents without text, left out", "documents over 1 MiB, split", "rows without {}"
FIELD = re.compile(r"\{([^{}]+)\}")
WHOLE = re.compile(r"(-?\d{1,17})\.0+", re.ASCII)  # a whole number, written with a point


@dataclass(frozen=True)
class Document:
    """One text and the domain it comes from. labels: what its source says of it, by label: a category's name, a score,
    or None for nothing. group: documents of one group, such as a title, stay in one split ("": of no group)."""

    text: str
    domain: str
    labels: Mapping[str, str | float | None] = field(default_factory=dict)
    group: str = ""


@dataclass(frozen=True)
class Columns:
    """Which columns of a data file hold what. A name with dots reaches into nested values."""

    text: str = "text"
    """the text's column, or a template of several, as in: "{question} {answers.text.0}" """
    domain: str = ""
    """the domain's column (default: domain if there is one, else the file's name)"""
    categories: dict[str, str] = field(default_factory=dict)
    """label name and its column of categories, as in: topic attr-cc_en_topic"""
    scores: dict[str, str] = field(default_factory=dict)
    """label name and its column of scores, which are cut into bins, as in: quality attr-fineweb-edu"""
    group: str = ""
    """the column of a source or title: for a reference task of the training text (a category, or --practice) whole
    sources are held out (default: single documents)"""
    nan_is_missing: bool = False
    """take NaN scores for missing ones instead of refusing them"""

    def __post_init__(self) -> None:
        both = self.categories.keys() & self.scores.keys()
        if both or "domain" in self.categories.keys() | self.scores.keys():
            name = min(both, default="domain")
            raise InputError(
                f"two label columns are called '{name}'; give each its own name (domain has --columns.domain)"
            )

    @property
    def top_level(self) -> tuple[str, ...]:
        """The columns to read of a file that holds more."""
        named = [*self.required, self.domain or "domain", *self.categories.values(), *self.scores.values()]
        return tuple({name for path in named for name in (path, path.split(".")[0])})

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that a table must have; the others may be missing from some of its files."""
        return (*_fields(self.text), *filter(None, (self.domain, self.group)))

    def documents(
        self, records: Iterable[Record | BadRow | BadFile], counts: Counter[str], faults: Faults, labelled: bool = True
    ) -> Iterator[Document]:
        """The documents of `records`. Bad rows and files go to `faults`; empty documents are left out, very long ones
        split; both are counted. `labelled`: it is training text, whose labels are read too, and which may lack groups.
        InputError: what `faults` does not allow."""
        for record in records:
            try:
                if not isinstance(record, Record):
                    raise record
                found = self._pieces(record, counts, labelled)
            except (BadRow, BadFile) as fault:
                faults.add(fault)
            else:
                faults.good += 1
                yield from found

    def _pieces(self, record: Record, counts: Counter[str], labelled: bool) -> list[Document]:
        text = self._text(record)
        if not text.strip():
            counts[EMPTY] += 1
            return []
        labels = self._labels(record) if labelled else {}
        domain, group = self._domain(record), self._group(record, required=not labelled)
        for name, value in labels.items():
            if value is None:
                counts[MISSING.format(name)] += 1
        pieces = list(split(text))
        counts[SPLIT] += len(pieces) > 1
        return [Document(piece, domain, labels, group) for piece in pieces]

    def _text(self, record: Record) -> str:
        plain = record.values.get(self.text)
        if isinstance(plain, str):
            return plain
        values = {name: self._present(record, name) for name in _fields(self.text)}
        for name, value in values.items():
            if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
                raise BadRow(record.place, f"with {kind_of(value)} as '{name}'", "expected text", _short(value))
        shown = {name: "" if _is_missing(value) else str(value) for name, value in values.items()}
        return FIELD.sub(lambda match: shown[match[1]], self.text) if "{" in self.text else shown[self.text]

    def _domain(self, record: Record) -> str:
        value = self._present(record, self.domain) if self.domain else _find(record.values, "domain")
        return _name(record, self.domain or "domain", value) or record.stem

    def _group(self, record: Record, required: bool) -> str:
        if not self.group:
            return ""
        value = self._present(record, self.group) if required else _find(record.values, self.group)
        return _name(record, self.group, value) or ""

    def _labels(self, record: Record) -> dict[str, str | float | None]:
        labels: dict[str, str | float | None] = {
            name: _name(record, column, _find(record.values, column)) for name, column in self.categories.items()
        }
        return labels | {name: self._score(record, column) for name, column in self.scores.items()}

    def _present(self, record: Record, column: str) -> Any:
        value = _find(record.values, column)
        if value is _ABSENT:
            found = f"only {listed(record.values)}" if record.values else "it is empty"
            raise BadRow(record.place, f"without column '{column}'", MISSING_CURE, found)
        return value

    def _score(self, record: Record, column: str) -> float | None:
        value = _find(record.values, column)
        if value in (_ABSENT, None, ""):
            return None
        try:
            score = float(value)
        except (TypeError, ValueError, OverflowError):
            raise BadRow(record.place, f"with no number as '{column}'", "expected a number", _short(value)) from None
        if math.isnan(score) and self.nan_is_missing:
            return None
        if not math.isfinite(score):
            cure = "expected a finite number" + ("; --columns.nan-is-missing allows NaN" if math.isnan(score) else "")
            raise BadRow(record.place, f"with {score} as '{column}'", cure)
        return score


def split(text: str) -> Iterator[str]:
    """`text` in pieces of at most MAX_BYTES, cut after blank lines where there are some, else after lines or spaces."""
    while len(text) > MAX_BYTES // 4 and len(text.encode("utf-8", "replace")) > MAX_BYTES:
        head = text[:MAX_BYTES].encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore")
        for mark in ("\n\n", "\n", " "):
            cut = head.rfind(mark) + len(mark)
            if cut > len(head) // 2:
                head = head[:cut]
                break
        yield head
        text = text[len(head) :]
    if text.strip():
        yield text


_ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "absent"})()  # the value of a column that is not there


def _name(record: Record, column: str, value: Any) -> str | None:
    """A domain's, category's or group's name; None for a missing one. Numbers are one name however they are written:
    tables with gaps have 1.0 where others have 1. BadRow: a list or map."""
    if _is_missing(value) or value == "":
        return None
    if isinstance(value, dict | list):
        raise BadRow(record.place, f"with {kind_of(value)} as '{column}'", "expected a name", _short(value))
    name = str(value)
    if name.endswith("0") and (whole := WHOLE.fullmatch(name)):
        return whole[1] if int(whole[1]) else "0"
    return name


def _is_missing(value: Any) -> bool:
    return value is None or value is _ABSENT or (isinstance(value, float) and math.isnan(value))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _fields(spec: str) -> list[str]:
    return FIELD.findall(spec) if "{" in spec else [spec]


def _find(values: Values, path: str) -> Any:
    """The value under a column's name, or at the end of a path of names and positions with dots between."""
    if path in values:
        return values[path]
    value: Any = values
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _ABSENT
    return value
