"""Reference text: its three parts, documents held out of the training text for it, and training text repeating it."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

import numpy as np

from ..corpus.corpus import REFERENCE_PARTS, reference_split
from ..io.errors import InputError
from ..io.files import nearest
from .documents import DOMAIN, Document

REPEATS = "documents that share a paragraph with reference text, left out"
COPIES = "copies of documents that are held out, left out"
OF_HELD_OUT = "documents of sources that are held out, or copies of held-out ones, left out"
MIN_PARAGRAPH = 80  # characters; shorter ones often repeat by chance
COMMON_UNITS = 4  # a paragraph of so many sources of the sampled text belongs to none of them
MAX_HELD_OUT = 4000  # documents; enough for any validation loss
HELD_OUT_TASK = "heldout"
CATEGORY_SHARE = 0.1  # of a category's documents, held out at most
LARGEST_SOURCE = MAX_HELD_OUT // 8  # documents; one of more would fill a part alone, and is never held out
VALUES = 1000  # of a label that are remembered for an error line
EXPECTED = 40  # documents to hold out, of which hardly ever none falls into one part
ENDS = (0.5, 0.75, 1.0)  # of the shares of REFERENCE_PARTS, added up


def parts(task: str, documents: list[Document]) -> dict[str, list[Document]]:
    """The first half of a task's documents is for validation, the next quarter for trials, the rest for the test: so
    neighbours, which often come from one source, stay together. Documents of one group also do, at the place of its
    first one."""
    more = f'name files with more, as in: --reference {task} "FOLDER/*.jsonl"'
    least = len(REFERENCE_PARTS)
    if len(documents) < least:
        raise InputError(
            f"reference task '{task}' has {len(documents)} documents with text, expected at least {least}, one for "
            f"validation, trial and test each; {more}"
        )
    first: dict[str, int] = {}
    place = [first.setdefault(document.group, i) if document.group else i for i, document in enumerate(documents)]
    order = sorted(range(len(documents)), key=lambda i: place[i])
    documents = [documents[i] for i in order]
    starts = [i for i in range(1, len(order)) if place[order[i]] != place[order[i - 1]]]  # of all groups but the first
    if len(starts) + 1 < least:
        raise InputError(
            f"reference task '{task}' has {len(starts) + 1} groups of documents, expected at least {least}, one for "
            f"validation, trial and test each; {more}, or leave out --reference-group"
        )
    middle = min(starts[:-1], key=lambda start: abs(start - len(documents) // 2))
    later = min((start for start in starts if start > middle), key=lambda start: abs(start - len(documents) * 3 // 4))
    ranges = zip([0, middle, later], [middle, later, len(documents)], strict=True)
    return {
        reference_split(task, part): documents[start:stop]
        for part, (start, stop) in zip(REFERENCE_PARTS, ranges, strict=True)
    }


class Decontamination:
    """Leaves out training documents that share a paragraph with reference text (of 80 characters or more, white space
    at its ends ignored)."""

    def __init__(self, references: Iterable[Document]) -> None:
        self.seen = {key for document in references for key in paragraphs(document.text)}

    def add(self, references: Iterable[Document], common: set[bytes]) -> None:
        """More reference text, whose `common` paragraphs training documents may share."""
        self.seen |= {key for document in references for key in paragraphs(document.text)} - common

    def repeats(self, document: Document) -> bool:
        """Whether the document shares such a paragraph."""
        return not self.seen.isdisjoint(paragraphs(document.text))

    def clean(self, documents: Iterable[Document], counts: Counter[str]) -> Iterator[Document]:
        """The documents that share no such paragraph; the others are counted."""
        for document in documents:
            if self.repeats(document):
                counts[REPEATS] += 1
            else:
                yield document


@dataclass
class HeldOut:
    """Holds out a share of the training documents as the reference task "heldout", chosen by a hash of their text, but
    no more than the first MAX_HELD_OUT. Exact copies of a held-out document are left out and counted; training text
    that shares only a paragraph with one stays. limit: of the documents that are read, for the error line."""

    share: float
    counts: Counter[str] = field(default_factory=Counter)
    limit: int | None = None
    of_part: dict[str, list[Document]] = field(default_factory=lambda: {part: [] for part in REFERENCE_PARTS})

    def __post_init__(self) -> None:
        check_share(self.share)

    def train(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents that are not held out. Once it is exhausted, `of_part` is complete. InputError: one is empty,
        or nothing is left to train on."""
        held: set[bytes] = set()
        num_train, shares = 0, np.diff(ENDS, prepend=0.0)
        for document in documents:
            digest = _hash(document.text)
            place = int.from_bytes(digest, "big") / 2**64 / self.share
            part = bisect_right(ENDS, place)
            if digest in held:
                self.counts[COPIES] += 1
            elif part < len(ENDS) and len(into := self.of_part[REFERENCE_PARTS[part]]) < MAX_HELD_OUT * shares[part]:
                into.append(document)
                held.add(digest)
            else:
                num_train += 1
                yield document
        if not (all(self.of_part.values()) and num_train):
            raise InputError(self._starved(num_train))

    def splits(self) -> dict[str, Iterable[Document]]:
        """The held-out documents by split, to be read after `train`."""
        return {
            reference_split(HELD_OUT_TASK, part): (document for document in documents)
            for part, documents in self.of_part.items()
        }

    def _starved(self, num_train: int) -> str:
        """The error line of a split without documents."""
        sizes = [len(documents) for documents in self.of_part.values()]
        total = num_train + sum(sizes)
        share = min(0.5, EXPECTED / total)
        cures = [f"--hold-out {share:.2g}"] if (share > self.share if num_train else share < self.share) else []
        cures += ["more text"] if self.limit is None else [f"a --max-documents above {self.limit}"]
        return (
            f"--hold-out {self.share} makes of {total} documents {sizes[0]} for validation, {sizes[1]} for trials, "
            f"{sizes[2]} for the test and {num_train} for training, expected at least one each: "
            f"give {', '.join(cures)}, or --reference files"
        )


def check_share(share: float) -> None:
    """InputError: it is no share that can be held out."""
    if not 0 < share < 1:
        raise InputError(f"hold_out is {share}, expected a share between 0 and 1, such as 0.01")


def default_tasks(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """The reference tasks that count where none are named: all but what --hold-out made, if there are others. It is
    natural's own text, which no selection serves better than natural."""
    return tuple(task for task in tasks if task != HELD_OUT_TASK) or tasks


@dataclass(frozen=True)
class Category:
    """Training documents with one value of a label. given: as the user wrote it; label: "domain", or the name of a
    column of categories or of scores; value: the category, or None for the scores from `low` up to but without
    `high`."""

    given: str
    label: str
    value: str | None
    low: float = 0.0
    high: float = 0.0

    def of(self, document: Document) -> str | float | None:
        """What the document has of the label."""
        return document.domain if self.label == DOMAIN else document.labels.get(self.label)

    def has(self, document: Document) -> bool:
        """Whether the document is of the category."""
        found = self.of(document)
        if self.value is None:
            return isinstance(found, float) and self.low <= found < self.high
        return found == self.value


class Sample:
    """Whole sources of the documents that it is shown, or where they have no group single documents: those with the
    least hashes, so that the choice does not depend on their order (but for sources that turn out to be too large only
    after it was cut to size). size: documents that it has at least, if there are so many, or else it has `room` bytes
    of text; number: of all that it was shown. Memory: twice `size` documents and twice `room` bytes."""

    def __init__(self, size: int, room: float = inf) -> None:
        self.size, self.room, self.number = size, room, 0
        self._of_unit: dict[bytes, list[Document]] = {}
        self._bytes = Counter[bytes]()  # of each unit
        self._large: set[bytes] = set()
        self._bound: bytes | None = None  # hashes from this one on are not taken
        self._kept = self._kept_bytes = 0  # of all units

    def see(self, document: Document) -> None:
        """Take note of a document."""
        self.number += 1
        unit = unit_of(document)
        is_copy = unit in self._of_unit and not document.group
        if is_copy or unit in self._large or (self._bound is not None and unit >= self._bound):
            return
        size = len(document.text.encode("utf-8", "replace"))
        self._of_unit.setdefault(unit, []).append(document)
        self._bytes[unit] += size
        self._kept += 1
        self._kept_bytes += size
        if len(self._of_unit[unit]) > LARGEST_SOURCE or self._bytes[unit] > self.room:
            self._large.add(unit)
            self._drop(unit)
        if self._kept > 2 * self.size or self._kept_bytes > 2 * self.room:
            least = self.least()
            for unit in self._of_unit.keys() - least.keys():
                self._bound = unit if self._bound is None else min(self._bound, unit)
                self._drop(unit)

    def _drop(self, unit: bytes) -> None:
        self._kept -= len(self._of_unit.pop(unit))
        self._kept_bytes -= self._bytes.pop(unit)

    def least(self) -> dict[bytes, list[Document]]:
        """The first of `units`, until they have `size` documents or `room` bytes."""
        found: dict[bytes, list[Document]] = {}
        documents = size = 0
        for unit, of_unit in self.units().items():
            if documents >= self.size or size >= self.room:
                break
            found[unit] = of_unit
            documents += len(of_unit)
            size += self._bytes[unit]
        return found

    def units(self) -> dict[bytes, list[Document]]:
        """The documents of each unit by its hash, the least first; none of more than LARGEST_SOURCE documents, or of
        more than `room` bytes."""
        return dict(sorted(self._of_unit.items()))


class Survey:
    """Chooses what is held out of a category for a reference task, while the training text is read for the first
    time."""

    def __init__(self, task: str, category: Category) -> None:
        self.task, self.category, self.sample = task, category, Sample(MAX_HELD_OUT)
        self._others: set[str] = set()  # values of the label, of other documents

    def see(self, document: Document) -> None:
        """Take note of a training document."""
        if self.category.has(document):
            self.sample.see(document)
        elif len(self._others) < VALUES and (value := self.category.of(document)) is not None:
            self._others.add(str(value))

    def chosen(self, taken: set[bytes]) -> list[Document]:
        """The documents to hold out: at most CATEGORY_SHARE of them and MAX_HELD_OUT, but at least one unit for each
        part. Their units and texts are added to `taken`, units in it are passed over. InputError: there are too few."""
        number = self.sample.number
        units = {unit: found for unit, found in self.sample.units().items() if unit not in taken}
        chosen = fitting(units, min(MAX_HELD_OUT, int(number * CATEGORY_SHARE)))
        found = balanced(list(chosen.values()))
        if len(chosen) < len(REFERENCE_PARTS) or 2 * len(found) > number:
            raise InputError(self._too_few(len(units)))
        taken.update(chosen, map(text_unit, found))
        return found

    def _too_few(self, units: int) -> str:
        told = f"reference task '{self.task}' is {self.category.given}, which"
        if not self.sample.number:
            label, seen = self.category.label, self._others
            return f"{told} no training document has; {label}: {_range(seen, self.category)}"
        what = f"{self.sample.number} training documents have, of {units} sources that can be held out whole"
        least = len(REFERENCE_PARTS)
        return (
            f"{told} {what}; expected {2 * least} documents or more, of which {least} sources are at most half: name a "
            "category with more, or give files of your own"
        )


def fitting(units: dict[bytes, list[Document]], room: int) -> dict[bytes, list[Document]]:
    """The first units, each whole, of which `room` documents are left room for; but at least one for each part: if
    fewer fit, the smallest."""
    chosen: dict[bytes, list[Document]] = {}
    for unit, documents in units.items():
        if len(documents) <= room:
            chosen[unit] = documents
            room -= len(documents)
    if len(chosen) >= len(REFERENCE_PARTS):
        return chosen
    smallest = sorted(units, key=lambda unit: (len(units[unit]), unit))[: len(REFERENCE_PARTS)]
    return {unit: units[unit] for unit in smallest}


def balanced(units: list[list[Document]]) -> list[Document]:
    """The documents of the units in such an order that `parts`, which cuts at whole units, comes near its shares: the
    largest units first, each goes to the part that lacks most."""
    if max(map(len, units), default=1) > 1:
        lacks = list(np.diff(ENDS, prepend=0.0) * sum(map(len, units)))
        of_part: list[list[list[Document]]] = [[] for _ in ENDS]
        for documents in sorted(units, key=lambda unit: (-len(unit), unit_of(unit[0]))):
            part = int(np.argmax(lacks))
            of_part[part].append(documents)
            lacks[part] -= len(documents)
        units = [documents for part in of_part for documents in part]
    return [document for documents in units for document in documents]


def unit_of(document: Document) -> bytes:
    """The hash of what is held out as a whole: the document's group, or of none its text."""
    return _hash(f"group {document.group}") if document.group else text_unit(document)


def text_unit(document: Document) -> bytes:
    """The hash of the document's text, whatever its group."""
    return _hash(f"text {document.text}")


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def without(
    documents: Iterable[Document], units: set[bytes], held_out: int, counts: Counter[str]
) -> Iterator[Document]:
    """The documents that are of none of these units, nor have the text of one. Those left out, but for the `held_out`
    that are in a reference task, are counted."""
    number = 0
    for document in documents:
        if unit_of(document) in units or (document.group and text_unit(document) in units):
            number += 1
        else:
            yield document
    counts[OF_HELD_OUT] += number - held_out


def _range(seen: set[str], category: Category) -> str:
    """What there is of a label in place of the category, for an error line."""
    if category.value is not None:
        return nearest(category.value, seen) if seen else "no document has it"
    numbers = sorted(map(float, seen))
    return f"its scores go from {numbers[0]:.4g} to {numbers[-1]:.4g}" if numbers else "no document has a score"


def paragraphs(text: str) -> Iterator[bytes]:
    """The hashes of the paragraphs of `text` that are long enough."""
    for block in text.split("\n\n"):
        paragraph = block.strip()
        if len(paragraph) >= MIN_PARAGRAPH:
            yield _hash(paragraph)


def common_paragraphs(units: Iterable[list[Document]]) -> set[bytes]:
    """The hashes of paragraphs that stand in COMMON_UNITS or more of these units: licence headers, menus, footers. Of a
    sample's units they are those that are common in the sample, not all that are common in the text."""
    number = Counter(key for unit in units for key in {key for document in unit for key in paragraphs(document.text)})
    return {key for key, count in number.items() if count >= COMMON_UNITS}
