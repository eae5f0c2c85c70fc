"""Hard limits that a user sets on a run: at most so many epochs of a category, at least such a share of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...lm.corpus.corpus import Labels
from ...lm.io.errors import InputError
from ...lm.io.files import guess, nearest

EPOCHS, SHARE = "epochs", "share"  # the kinds, which are the names of the command line's flags
MOST_EPOCHS = 1e6  # more than any run makes, and its tokens are still a number
SPELLING = {
    EPOCHS: "LABEL=CATEGORY:EPOCHS, as in domain=wikipedia:4",
    SHARE: "LABEL=CATEGORY:SHARE, as in domain=code:0.1",
}


@dataclass(frozen=True)
class Limit:
    """One limit on a category of a label column. EPOCHS: the run draws at most `number` times the category's tokens,
    and no window of it more than `number` times, rounded up. SHARE: at least `number` of the run's tokens are of it."""

    kind: str
    label: str
    category: str
    number: float

    @property
    def name(self) -> str:
        """The category under its label, as in domain=code."""
        return f"{self.label}={self.category}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}:{self.number:g}"


def read_limits(epochs: Sequence[str], share: Sequence[str], columns: Mapping[str, Labels]) -> tuple[Limit, ...]:
    """The limits that a user wrote, on the label columns of the agents. Each is LABEL=CATEGORY:NUMBER, or
    CATEGORY=NUMBER where one label alone has that category. A category may have = and : in its name.

    InputError: another spelling, an unknown or ambiguous name, a number out of range, or two limits of one kind on one
    category."""
    limits = [_read(kind, text, columns) for kind, texts in ((EPOCHS, epochs), (SHARE, share)) for text in texts]
    known: dict[tuple[str, str], Limit] = {}
    for limit in limits:
        first = known.setdefault((limit.kind, limit.name), limit)
        if first is not limit:
            raise InputError(f"--{first} and --{limit} limit the same category, expected one of them: take one out")
    return tuple(limits)


def _read(kind: str, text: str, columns: Mapping[str, Labels]) -> Limit:
    before, _, number_text = text.rpartition(":")
    number = _number(number_text)
    if number is None:
        return _read_short(kind, text, columns)
    label, equals, category = before.partition("=")
    if not equals:
        raise InputError(f"--{kind} {text} given, expected {SPELLING[kind]}")
    if label not in columns:
        raise InputError(f"--{kind} {text} names label '{label}'; {nearest(label, columns)}")
    if category not in columns[label].names:
        raise InputError(f"--{kind} {text} names category '{category}' of {label}; {_few(category, columns[label])}")
    return _checked(Limit(kind, label, category, number))


def _read_short(kind: str, text: str, columns: Mapping[str, Labels]) -> Limit:
    """CATEGORY=NUMBER."""
    category, _, number_text = text.rpartition("=")
    number = _number(number_text)
    if number is None or not category:
        raise InputError(f"--{kind} {text} given, expected {SPELLING[kind]}")
    labels = [label for label, column in columns.items() if category in column.names]
    if len(labels) == 1:
        return _checked(Limit(kind, labels[0], category, number))
    if labels:
        full = " or ".join(f"{label}={category}:{number:g}" for label in labels)
        why = f", which {len(labels)} labels have: write {full}"
    else:
        every = sorted({name for column in columns.values() for name in column.names})
        why = f", which no label has; {guess(category, every)}write {SPELLING[kind]}"
    raise InputError(f"--{kind} {text} names category '{category}'{why}")


def _checked(limit: Limit) -> Limit:
    most = MOST_EPOCHS if limit.kind == EPOCHS else 1.0
    least = 0.0 if limit.kind == EPOCHS else np.nextafter(0.0, 1.0)
    if not least <= limit.number <= most:
        told = f"0 to {MOST_EPOCHS:,.0f} epochs" if limit.kind == EPOCHS else "a share above 0, at most 1"
        raise InputError(f"--{limit} given, expected {told}")
    return limit


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _few(category: str, column: Labels) -> str:
    """The end of an error line: the nearest category, and all of them where they are few."""
    number = len(column.names)
    few = number <= 40
    return nearest(category, column.names) if few else f"{guess(category, column.names)}it has {number} categories"
