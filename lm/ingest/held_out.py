"""Reference text: its three parts, documents held out of the training text for it, and training text repeating it."""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ..corpus.corpus import REFERENCE_PARTS, reference_split
from ..io.errors import InputError
from .documents import Document

REPEATS = "documents that share a paragraph with reference text, left out"
COPIES = "copies of documents that are held out, left out"
MIN_PARAGRAPH = 80  # characters; shorter ones often repeat by chance
MAX_HELD_OUT = 4000  # documents; enough for any validation loss
HELD_OUT_TASK = "heldout"
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
    of_part: dict[str, list[Document]] = field(default_factory=lambda: {part: [] for part in REFERENCE_PARTS})

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"hold_out is {self.share}, expected a share between 0 and 1, such as 0.01")

    def train(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents that are not held out. Once it is exhausted, `of_part` is complete. InputError: one is empty,
        or nothing is left to train on."""
        held: set[bytes] = set()
        num_train, shares = 0, np.diff(ENDS, prepend=0.0)
        for document in documents:
            digest = hashlib.blake2b(document.text.encode("utf-8", "replace"), digest_size=8).digest()
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


def _paragraphs(text: str) -> Iterator[bytes]:
    for block in text.split("\n\n"):
        paragraph = block.strip()
        if len(paragraph) >= MIN_PARAGRAPH:
            yield hashlib.blake2b(paragraph.encode("utf-8", "replace"), digest_size=8).digest()
