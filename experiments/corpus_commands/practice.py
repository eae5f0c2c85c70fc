"""Practice reference tasks: clusters of the training text, held out so that policies can be learned on many tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from ...env.text.clusters import clusters
from ...env.text.contrast import FOLDS
from ...lm.corpus.corpus import REFERENCE_PARTS, reference_split
from ...lm.ingest.documents import Document
from ...lm.ingest.held_out import (
    Decontamination,
    Sample,
    balanced,
    common_paragraphs,
    fitting,
    paragraphs,
    parts,
    text_unit,
)
from ...lm.io.errors import InputError

PREFIX = "practice-"
SAMPLED, SAMPLED_BYTES = 8000, 64_000_000  # that are clustered, at most, of documents and of their UTF-8 bytes
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
    in all. Units in `taken` and text that `known` has are passed over; both get what is chosen, but for paragraphs that
    are common in the sample. InputError: there is too little text."""
    each = min(MOST, int(sample.number * SHARE) // number)
    if each < FEWEST:
        raise InputError(_too_little(sample, number))
    sampled = sample.least()
    common = common_paragraphs(sampled.values())
    units = {
        unit: documents
        for unit, documents in _fresh(sampled, taken, known, common)
        if len(documents) <= _largest(each) and _is_own(documents, common)
    }
    share = min(1.0, OF_CLUSTER * sample.number / max(1, _size(sampled)))
    heads = [[_own(document.text, common)[:HEAD] for document in documents] for documents in units.values()]
    least = ceil(min(LEAST, each) / share)
    found = clusters(heads, number, least, LEAST_UNITS)
    if not found:
        raise InputError(_too_few(sampled, units, number, least))
    tasks, keys = {}, list(units)
    for name, cluster in zip(practice_names(number), found, strict=True):
        inside = {keys[member]: units[keys[member]] for member in cluster.members}
        chosen = fitting(inside, min(each, int(share * _size(inside))))
        tasks[name] = Practice(balanced(list(chosen.values())), cluster.words)
        validation = parts(name, tasks[name].documents)[reference_split(name, "validation")]
        if len(validation) < FOLDS:
            raise InputError(_too_uneven(name, number, len(validation)))
        taken.update(chosen, map(text_unit, tasks[name].documents))
        known.add(tasks[name].documents, common)
    return tasks


def _largest(each: int) -> int:
    """Documents of a unit, at most: as a part has on average, but of small tasks fewer, or of three units that fill a
    task of six documents none would have FOLDS for validation."""
    return max(1, min(each // len(REFERENCE_PARTS), each - 2 * FOLDS))


def _size(units: dict[bytes, list[Document]]) -> int:
    return sum(map(len, units.values()))


def _fresh(
    units: dict[bytes, list[Document]], taken: set[bytes], known: Decontamination, common: set[bytes]
) -> Iterator[tuple[bytes, list[Document]]]:
    """The units of which no text is taken, and no text or paragraph is in a unit before or in reference text, but for
    paragraphs that are common in the sample."""
    seen = set(taken)
    for unit, documents in units.items():
        own = {key for document in documents for key in paragraphs(document.text)} - common
        keys = own.union(map(text_unit, documents))
        if seen.isdisjoint(keys) and not any(map(known.repeats, documents)):
            yield unit, documents
        seen |= keys


def _own(text: str, common: set[bytes]) -> str:
    """The text without common paragraphs; with them all texts of one licence would make a cluster."""
    return "\n\n".join(block for block in text.split("\n\n") if common.isdisjoint(paragraphs(block)))


def _is_own(documents: list[Document], common: set[bytes]) -> bool:
    """Whether half of the text or more stands nowhere else, where it may be trained on."""
    own = sum(len(_own(document.text, common)) for document in documents)
    return 2 * own >= sum(len(document.text) for document in documents)


def _too_little(sample: Sample, number: int) -> str:
    room = int(sample.number * SHARE)
    most = room // LEAST or room // FEWEST
    return (
        f"--practice {number} is given, and a tenth of the training text, which they may take, is {room:,} documents; "
        f"expected {FEWEST} or more for each: give {f'--practice {most}, or ' if most else ''}more text"
    )


def _too_few(sampled: dict[bytes, list[Document]], units: dict[bytes, list[Document]], number: int, least: int) -> str:
    grouped = not sampled or any(documents[0].group for documents in sampled.values())  # none: all sources are large
    return (
        f"--practice {number} is given, and {_count(len(units), 'source' if grouped else 'document')} can be held out; "
        f"expected {_count(number, 'cluster')} of {least} documents and {LEAST_UNITS} "
        f"{'sources' if grouped else 'texts'} or more: give a smaller --practice, or more text"
        f"{', or leave out the column of sources' if grouped else ''}"
    )


def _too_uneven(name: str, number: int, validation: int) -> str:
    return (
        f"'{name}' of --practice {number} has {_count(validation, 'document')} for validation, as the sources of its "
        f"cluster are few and uneven; expected {FOLDS} or more: give another --practice, or more text, or leave out "
        "the column of sources"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
