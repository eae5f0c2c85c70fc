"""Reference text: its two halves, documents held out of the training text for it, and training text that repeats it."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..corpus.corpus import reference_split
from ..io.errors import InputError
from .documents import Document

REPEATS = "documents that share a paragraph with reference text, left out"
COPIES = "copies of documents that are held out, left out"
MIN_PARAGRAPH = 80  # characters; shorter ones often repeat by chance
MAX_HELD_OUT = 4000  # documents; enough for any validation loss
HELD_OUT_TASK = "heldout"
EXPECTED = 20  # documents to hold out, of which hardly ever all fall into one half


def halves(task: str, documents: list[Document]) -> dict[str, list[Document]]:
    """The first half of a task's documents becomes its validation half, the rest its test half, so that neighbours,
    which often come from one source, stay together. Documents of one group also do, at the place of its first one."""
    more = f'name files with more, as in: --reference {task} "FOLDER/*.jsonl"'
    if len(documents) < 2:
        raise InputError(
            f"reference task '{task}' has {len(documents)} documents with text, expected at least 2, one a half; {more}"
        )
    first: dict[str, int] = {}
    place = [first.setdefault(document.group, i) if document.group else i for i, document in enumerate(documents)]
    order = sorted(range(len(documents)), key=lambda i: place[i])
    documents = [documents[i] for i in order]
    starts = [i for i in range(1, len(order)) if place[order[i]] != place[order[i - 1]]]  # of all groups but the first
    if not starts:
        raise InputError(
            f"reference task '{task}' has one group of documents, expected at least 2, one a half; {more}, or leave "
            "out --reference-group"
        )
    middle = min(starts, key=lambda start: abs(start - len(documents) // 2))
    return {reference_split(task, "validation"): documents[:middle], reference_split(task, "test"): documents[middle:]}


class Decontamination:
    """Leaves out training documents that share a paragraph with reference text (of 80 characters or more, white space
    at its ends ignored)."""

    def __init__(self, references: Iterable[Document]) -> None:
        self.seen = {key for document in references for key in _paragraphs(document.text)}

    def clean(self, documents: Iterable[Document], counts: Counter[str]) -> Iterator[Document]:
        """The documents that share no such paragraph; the others are counted."""
        for document in documents:
            if self.seen.isdisjoint(_paragraphs(document.text)):
                yield document
            else:
                counts[REPEATS] += 1


@dataclass
class HeldOut:
    """Holds out a share of the training documents as the reference task "heldout", chosen by a hash of their text, but
    no more than the first MAX_HELD_OUT. Exact copies of a held-out document are left out and counted; training text
    that shares only a paragraph with one stays. limit: of the documents that are read, for the error line."""

    share: float
    counts: Counter[str] = field(default_factory=Counter)
    limit: int | None = None
    validation: list[Document] = field(default_factory=list)
    test: list[Document] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"hold_out is {self.share}, expected a share between 0 and 1, such as 0.01")

    def train(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents that are not held out. Once it is exhausted, `validation` and `test` are complete. InputError:
        a half is empty, or nothing is left to train on."""
        held: set[bytes] = set()
        num_train = 0
        for document in documents:
            digest = hashlib.blake2b(document.text.encode("utf-8", "replace"), digest_size=8).digest()
            place = int.from_bytes(digest, "big") / 2**64 / self.share
            half = self.validation if place < 0.5 else self.test
            if digest in held:
                self.counts[COPIES] += 1
            elif place < 1 and len(half) < MAX_HELD_OUT // 2:
                half.append(document)
                held.add(digest)
            else:
                num_train += 1
                yield document
        if not (self.validation and self.test and num_train):
            raise InputError(self._starved(num_train))

    def splits(self) -> dict[str, Iterable[Document]]:
        """The held-out documents by split, to be read after `train`."""
        return {
            reference_split(HELD_OUT_TASK, "validation"): (document for document in self.validation),
            reference_split(HELD_OUT_TASK, "test"): (document for document in self.test),
        }

    def _starved(self, num_train: int) -> str:
        """The error line of a split without documents."""
        halves = len(self.validation), len(self.test)
        total = num_train + sum(halves)
        share = min(0.5, EXPECTED / total)
        cures = [f"--hold-out {share:.2g}"] if (share > self.share if num_train else share < self.share) else []
        cures += ["more text"] if self.limit is None else [f"a --max-documents above {self.limit}"]
        return (
            f"--hold-out {self.share} makes of {total} documents {halves[0]} for validation, {halves[1]} for the test "
            f"and {num_train} for training, expected at least one each: give {', '.join(cures)}, or --reference files"
        )


def _paragraphs(text: str) -> Iterator[bytes]:
    for block in text.split("\n\n"):
        paragraph = block.strip()
        if len(paragraph) >= MIN_PARAGRAPH:
            yield hashlib.blake2b(paragraph.encode("utf-8", "replace"), digest_size=8).digest()
