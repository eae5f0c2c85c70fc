"""Practice reference tasks: clusters of the training text, held out so that policies can be learned on many tasks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...env.text.clusters import clusters
from ...lm.corpus.corpus import REFERENCE_PARTS
from ...lm.ingest.documents import Document
from ...lm.ingest.held_out import Decontamination, Sample, balanced, fitting, text_unit
from ...lm.io.errors import InputError

PREFIX = "practice-"
ABOUT = "practice_words"  # where a corpus's `about` has the words of each practice task
SAMPLED = 8000  # documents that are clustered
HEAD = 4000  # characters of each that are read for it
SHARE = 0.1  # of the training documents, held out at most for all practice tasks together
OF_CLUSTER = 0.5  # of a cluster, held out at most: else no text of its kind is left to train on
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


def practice_tasks(
    sample: Sample, number: int, taken: set[bytes], reference: Iterable[Document]
) -> dict[str, Practice]:
    """`number` practice tasks by name, each of whole units of one cluster of the sample, at most SHARE of its documents
    in all. Their units are added to `taken`; those in it are passed over, and so is text that repeats `reference`.
    InputError: there is too little text."""
    each = min(MOST, int(sample.number * SHARE) // number)
    if each < FEWEST:
        raise InputError(_too_few(sample, number, each))
    units = {
        unit: documents
        for unit, documents in _fresh(sample.units(), taken, Decontamination(reference))
        if len(documents) <= max(1, each // len(REFERENCE_PARTS))
    }
    keys, least = list(units), min(LEAST, each)
    share = min(1.0, OF_CLUSTER * sample.number / max(1, sum(map(len, units.values()))))
    heads = [[document.text[:HEAD] for document in documents] for documents in units.values()]
    found = clusters(heads, number, int(least / share), 2 * len(REFERENCE_PARTS))
    if not found:
        raise InputError(_too_few(sample, number, each))
    tasks = {}
    for name, cluster in zip(practice_names(number), found, strict=True):
        inside = {keys[member]: units[keys[member]] for member in cluster.members}
        chosen = fitting(inside, min(each, int(share * sum(map(len, inside.values())))))
        taken.update(chosen)
        tasks[name] = Practice(balanced(list(chosen.values())), cluster.words)
    return tasks


def _fresh(
    units: dict[bytes, list[Document]], taken: set[bytes], known: Decontamination
) -> Iterator[tuple[bytes, list[Document]]]:
    """The units of which no text is taken, is in a unit before, or repeats reference text."""
    seen = set(taken)
    for unit, documents in units.items():
        texts = {text_unit(document) for document in documents}
        if unit not in taken and seen.isdisjoint(texts) and not any(map(known.repeats, documents)):
            yield unit, documents
        seen |= texts


def _too_few(sample: Sample, number: int, each: int) -> str:
    most = int(sample.number * SHARE) // LEAST
    cure = f"give --practice {most} or fewer, or more text" if 0 < most < number else "give more text"
    sources = " or in the sources, which are held out whole, " if each >= FEWEST else " "
    return (
        f"--practice {number} is given, and a tenth of the {sample.number} training documents{sources}is too little for "
        f"{number} tasks, expected {FEWEST} documents of {len(REFERENCE_PARTS)} sources or more for each: {cure}"
    )
