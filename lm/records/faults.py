"""The faults of a source: bad rows are left out and counted up to a share; what is more than that ends the build."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..io.errors import InputError
from .record import BadFile, BadRow

EXAMPLES = 3  # of a kind that are kept
HOPELESS = 10_000  # rows; with no good one among the first of them, the fault is the command's
FILES = 20  # bad files that are named


@dataclass
class Kind:
    """The bad rows of one kind: their number, the first of them and what to do."""

    cure: str
    rows: int = 0
    first: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"({self.cure}): {', '.join(self.first)}" + (", ..." if self.rows > len(self.first) else "")


@dataclass
class Faults:
    """The faults found while one source is read. max_share: bad rows in all rows, in [0, 1], above which the source is
    refused; strict: the first fault ends the build; share_read: tells how much of the source is read, or a little less,
    in [0, 1]. Memory does not grow with the bad rows: the words of a kind hold nothing of a row's own."""

    max_share: float = 0.01
    strict: bool = False
    share_read: Callable[[], float] = lambda: 0.0
    good: int = 0
    bad: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    bad_files: list[str] = field(default_factory=list)
    num_bad_files: int = 0

    def add(self, fault: BadRow | BadFile) -> None:
        """Count a fault. InputError: it ends the build, or so many rows are bad that the rest cannot change it."""
        if self.strict:
            raise InputError(str(fault))
        if isinstance(fault, BadFile):
            self.num_bad_files += 1
            if len(self.bad_files) < FILES:
                self.bad_files.append(str(fault))
            return
        self.bad += 1
        kind = self.kinds.setdefault(fault.kind, Kind(fault.cure))
        kind.rows += 1
        if len(kind.first) < EXAMPLES:
            kind.first.append(fault.where)
        if self.bad % 1000 == 0 and self._certain():
            raise InputError(self._told())

    def _certain(self) -> bool:
        """Whether the source will be refused: none of its first rows is good, or it has more bad ones than are allowed
        of twice the rows that it seems to have."""
        if not self.good and self.bad >= HOPELESS and self.max_share < 1:
            return True
        return self.share_read() * self.bad > 2 * self.max_share * (self.good + self.bad)

    def decide(self) -> None:
        """Once all is read. InputError: a file is bad, or too many rows are; all kinds are told."""
        if self.num_bad_files or self.bad > self.max_share * (self.good + self.bad):
            raise InputError(self._told())

    def _told(self) -> str:
        parts = list(self.bad_files)
        if self.num_bad_files > len(parts):
            parts.append(f"and {self.num_bad_files - len(parts):,} more bad files")
        rows = self.good + self.bad
        if self.bad:
            share = "more than" if self.bad > self.max_share * rows else "within"
            parts.append(f"{self.bad:,} of {rows:,} rows are bad, {share} the share of {self.max_share:g} allowed")
        parts += [f"{rows_of(kind.rows)} {name} {kind}" for name, kind in self.kinds.items()]
        end = "leave these files out or mend them" if self.num_bad_files else "mend the rows, or allow more: --max-bad"
        return "; ".join([*parts, end])

    def facts(self) -> dict[str, Any]:
        """What was left out, for a manifest: {} if nothing was."""
        if not self.bad:
            return {}
        kinds = {name: {"rows": kind.rows, "first": kind.first} for name, kind in self.kinds.items()}
        return {"rows": self.good + self.bad, "bad": self.bad, "kinds": kinds}


def rows_of(count: int) -> str:
    """A number of rows, in words."""
    return f"{count:,} {'row' if count == 1 else 'rows'}"
