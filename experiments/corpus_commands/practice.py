"""Practice reference tasks: clusters of the training text, held out so that policies can be learned on many tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from ...env.text.clusters import clusters
from ...lm.corpus.corpus import REFERENCE_PARTS
from ...lm.ingest.documents import Document
from ...lm.ingest.held_out import (
    Decontamination,
    Sample,
    balanced,
    common_paragraphs,
    fitting,
    paragraphs,
    text_unit,
)
from ...lm.io.errors import InputError

PREFIX = "practice-"
SAMPLED = 8000  # documents that are clustered, at most
HEAD = 4000  # characters of each that are read for it
SHARE = 0.1  # of the training documents, held out at most for all practice tasks together
OF_CLUSTER = 0.5  # of a cluster, held out at most: else no text of its kind is left to train on
LEAST_UNITS = 2 * len(REFERENCE_PARTS)  # sources of a cluster
MOST, LEAST, FEWEST = 400, 24, 6  # documents of a task: at most; at least, where the text allows; at least, ever


@dataclass(frozen=True)
class Practice:
    """The documents of one practice reference task, and the words that are most typical of its cluster."""

    documents: list[Document]
    words: tuple[str, ...]


def practice_names(number: int) -> tuple[str, ...]:
    """The names of so many practice reference tasks, the same for every corpus."""
    width = max(2, len(str(number)))
    return tuple(f"{PREFIX}{place:0{width}}" for place in range(1, number + 1))


def practice_tasks(sample: Sample, number: int, taken: set[bytes], known: Decontamination) -> dict[str, Practice]:
    """`number` practice tasks by name, each of whole units of one cluster of the sample, at most SHARE of its documents
    in all. Units in `taken` and text that `known` has are passed over; both get what is chosen. InputError: there is
    too little text."""
    each = min(MOST, int(sample.number * SHARE) // number)
    if each < FEWEST:
        raise InputError(_too_little(sample, number))
    sampled = _first(sample.units(), SAMPLED)
    common = common_paragraphs(sampled.values())
    units = {
        unit: documents
        for unit, documents in _fresh(sampled, taken, known, common)
        if len(documents) <= max(1, each // len(REFERENCE_PARTS)) and _is_own(documents, common)
    }
    share = min(1.0, OF_CLUSTER * sample.number / _size(sampled))
    heads = [[document.text[:HEAD] for document in documents] for documents in units.values()]
    least = int(min(LEAST, each) / share)
    found = clusters(heads, number, least, LEAST_UNITS)
    if not found:
        raise InputError(_too_few(units, number, least))
    tasks, keys = {}, list(units)
    for name, cluster in zip(practice_names(number), found, strict=True):
        inside = {keys[member]: units[keys[member]] for member in cluster.members}
        chosen = fitting(inside, min(each, int(share * _size(inside))))
        tasks[name] = Practice(balanced(list(chosen.values())), cluster.words)
        taken.update(chosen, map(text_unit, tasks[name].documents))
        known.add(tasks[name].documents, common)
    return tasks


def _size(units: dict[bytes, list[Document]]) -> int:
    return sum(map(len, units.values()))


def _first(units: dict[bytes, list[Document]], documents: int) -> dict[bytes, list[Document]]:
    """The first units, until they have so many documents."""
    before = accumulate(map(len, units.values()), initial=0)
    return {unit: found for (unit, found), number in zip(units.items(), before, strict=False) if number < documents}


def _fresh(
    units: dict[bytes, list[Document]], taken: set[bytes], known: Decontamination, common: set[bytes]
) -> Iterator[tuple[bytes, list[Document]]]:
    """The units of which no text is taken, and no text or paragraph is in a unit before or in reference text; common
    paragraphs may be."""
    seen = set(taken)
    for unit, documents in units.items():
        own = {key for document in documents for key in paragraphs(document.text)} - common
        keys = own.union(map(text_unit, documents))
        if seen.isdisjoint(keys) and not any(map(known.repeats, documents)):
            yield unit, documents
        seen |= keys


def _is_own(documents: list[Document], common: set[bytes]) -> bool:
    """Whether at most half of the paragraphs stand elsewhere too, where they may be trained on."""
    found = [key for document in documents for key in paragraphs(document.text)]
    return 2 * sum(key in common for key in found) <= len(found)


def _too_little(sample: Sample, number: int) -> str:
    room = int(sample.number * SHARE)
    most = room // LEAST or room // FEWEST
    return (
        f"--practice {number} is given, and a tenth of the training text, which they may take, is {room:,} documents; "
        f"expected {FEWEST} or more for each: give {f'--practice {most}, or ' if most else ''}more text"
    )


def _too_few(units: dict[bytes, list[Document]], number: int, least: int) -> str:
    grouped = any(documents[0].group for documents in units.values())
    return (
        f"--practice {number} is given, and {len(units):,} {'sources' if grouped else 'documents'} can be held out; "
        f"expected {number} clusters of {least} documents and {LEAST_UNITS} {'sources' if grouped else 'texts'} or "
        f"more: give a smaller --practice, or more text{', or leave out the column of sources' if grouped else ''}"
    )
