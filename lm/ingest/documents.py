"""Documents on their way into a corpus, and how a record becomes one."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..io.errors import InputError
from .readers import Record, Values

MAX_BYTES = 1 << 20  # of a document: more than any context; longer text is split
# What is counted: these texts are in the manifests of corpora, and in their fingerprints.
EMPTY, SPLIT, MISSING = "documents without text, left out", "documents over 1 MiB, split", "rows without {}"
FIELD = re.compile(r"\{([^{}]+)\}")


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
    """of reference text, the column of a source or title: what shares it stays in one half (default: neighbours do)"""
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
        named = [*_fields(self.text), self.domain or "domain", *self.categories.values(), *self.scores.values()]
        named += [self.group] if self.group else []
        return tuple({name for path in named for name in (path, path.split(".")[0])})

    def documents(self, records: Iterable[Record], counts: Counter[str], labelled: bool = True) -> Iterator[Document]:
        """The documents of `records`; empty ones are left out, very long ones split; both are counted. `labelled`:
        read the labels too. InputError: a column is missing, or a value is no text, category or score."""
        for record in records:
            text = self._text(record)
            if not text.strip():
                counts[EMPTY] += 1
                continue
            labels = dict(self._labels(record, counts)) if labelled else {}
            pieces = list(split(text))
            counts[SPLIT] += len(pieces) > 1
            for piece in pieces:
                yield Document(piece, self._domain(record), labels, self._group(record))

    def _text(self, record: Record) -> str:
        names = _fields(self.text)
        values = {name: _find(record.values, name) for name in names}
        for name, value in values.items():
            if value is _ABSENT:
                raise InputError(
                    f"{record.place} has no column '{name}', only {', '.join(map(repr, record.values))}; "
                    "name the text's with --columns.text"
                )
            if value is not None and not isinstance(value, str | int | float):
                raise InputError(f"{record.place}: '{name}' is a {type(value).__name__}, expected text")
        shown = {name: "" if value is None else str(value) for name, value in values.items()}
        return FIELD.sub(lambda match: shown[match[1]], self.text) if "{" in self.text else shown[self.text]

    def _domain(self, record: Record) -> str:
        value = _find(record.values, self.domain or "domain")
        if self.domain and value is _ABSENT:
            raise InputError(
                f"{record.place} has no column '{self.domain}', only {', '.join(map(repr, record.values))}"
            )
        return record.stem if value in (_ABSENT, None, "") else str(value)

    def _group(self, record: Record) -> str:
        value = _find(record.values, self.group) if self.group else ""
        if value is _ABSENT:
            raise InputError(f"{record.place} has no column '{self.group}', only {', '.join(map(repr, record.values))}")
        return "" if value is None else str(value)

    def _labels(self, record: Record, counts: Counter[str]) -> Iterator[tuple[str, str | float | None]]:
        for name, column in self.categories.items():
            value = _find(record.values, column)
            if isinstance(value, dict | list):
                raise InputError(f"{record.place}: '{column}' is a {type(value).__name__}, expected a category")
            missing = value in (_ABSENT, None, "")
            counts[MISSING.format(name)] += missing
            yield name, None if missing else str(value)
        for name, column in self.scores.items():
            score = self._score(record, column)
            counts[MISSING.format(name)] += score is None
            yield name, score

    def _score(self, record: Record, column: str) -> float | None:
        value = _find(record.values, column)
        if value in (_ABSENT, None, ""):
            return None
        try:
            score = float(value)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{record.place}: '{column}' is {str(value)[:40]!r}, expected a number") from None
        if math.isnan(score) and self.nan_is_missing:
            return None
        if not math.isfinite(score):
            raise InputError(
                f"{record.place}: '{column}' is {score}, expected a finite number; mend it"
                + (", or add --columns.nan-is-missing" if math.isnan(score) else "")
            )
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
