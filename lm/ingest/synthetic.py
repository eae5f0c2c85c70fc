"""A made-up corpus: small Markov languages whose labels are known, for tests and demonstrations."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..corpus.corpus import REFERENCE_PARTS, TRAIN, Corpus, Labels, reference_split
from ..corpus.tokenizer import train_tokenizer
from ..corpus.writer import CorpusWriter

DOMAINS = ("prose", "code", "tests", "data", "notes")
TASKS = ("prose", "code")  # the reference tasks unless others are asked for: any of DOMAINS
RECIPE = 2  # to be raised whenever a change of the code changes what is made
DIALECTS = 2  # of each domain; they are its topics
ALPHABETS = ("aeioulnrst", "defgiprtux", "defgiptsux", "0123456789", "aehklmnosw")
ENDS = (". ", ";\n", ")\n", ",", "\n")
# How close each domain (column) is to each task (row), as a good classifier would score it.
MATCHES = {
    "prose": (2.0, -1.5, -1.5, -2.0, 0.5),
    "code": (-1.5, 2.0, 1.0, -1.0, -1.5),
    "tests": (-1.5, 1.0, 2.0, -1.0, -1.5),
    "data": (-2.0, -1.0, -1.0, 2.0, -1.0),
    "notes": (0.5, -1.5, -1.5, -1.0, 2.0),
}
QUALITY = (-1.0, -0.3, 0.3, 1.0)


@dataclass(frozen=True)
class SyntheticDocument:
    """One made-up document and its true labels: a domain and a quality, as indices into DOMAINS and QUALITY, and which
    dialect of its domain it is in."""

    text: str
    domain: int
    dialect: int
    quality: int


def synthetic_documents(
    seed: int,
    documents_per_domain: int = 200,
    reference_documents: int = 24,
    mean_words: int = 100,
    tasks: tuple[str, ...] = TASKS,
) -> dict[str, list[SyntheticDocument]]:
    """Documents by split. Every domain has its own words and, for each dialect, its own sparse bigram model; the lower
    a document's quality, the more of its words are drawn at random. The reference splits hold documents of the domains
    `tasks`, of the same qualities as in training."""
    rng = np.random.default_rng([seed, 0])
    models = [_Language(rng, ALPHABETS[domain], ENDS[domain]) for domain in range(len(DOMAINS))]

    def make(domain: int) -> SyntheticDocument:
        dialect, quality = int(rng.integers(DIALECTS)), int(rng.integers(len(QUALITY)))
        words = int(rng.integers(mean_words // 4, 2 * mean_words))
        noise = 0.3 * (1 - quality / (len(QUALITY) - 1))
        return SyntheticDocument(models[domain].write(rng, dialect, words, noise), domain, dialect, quality)

    train = [make(domain) for _ in range(documents_per_domain) for domain in range(len(DOMAINS))]
    splits = {TRAIN: [train[i] for i in rng.permutation(len(train))]}
    for task in tasks:
        for part in REFERENCE_PARTS:
            splits[reference_split(task, part)] = [make(DOMAINS.index(task)) for _ in range(reference_documents)]
    return splits


def build_synthetic(
    path: Path,
    seed: int = 0,
    vocab_size: int = 320,
    documents_per_domain: int = 200,
    labelled: bool = True,
    tasks: tuple[str, ...] = TASKS,
) -> Corpus:
    """Build a corpus of synthetic documents at `path`, with true labels under the default agents' names: domain, topic,
    quality, and a match agent's for each of `tasks` (not `labelled`: domain alone). Takes about a second."""
    splits = synthetic_documents(seed, documents_per_domain, tasks=tasks)
    with CorpusWriter(path, tasks, {"source": "synthetic", "seed": seed}) as writer:
        for split, documents in splits.items():
            writer.add_split(split, (document.text for document in documents))
        train = writer.texts()[: len(splits[TRAIN])]
        writer.encode(train_tokenizer(train, vocab_size))
        documents = [document for split in splits.values() for document in split]
        for name, labels in _labels(documents, tasks).items():
            if labelled or name == "domain":
                writer.add_labels(name, labels)
    return Corpus.open(path)


def _labels(documents: list[SyntheticDocument], tasks: tuple[str, ...]) -> dict[str, Labels]:
    """The true labels of `documents`, as label columns."""
    domain = np.array([document.domain for document in documents], np.uint16)
    topic = domain * DIALECTS + np.array([document.dialect for document in documents], np.uint16)
    topics = tuple(f"{name}-{dialect}" for name in DOMAINS for dialect in range(DIALECTS))
    quality = np.array([document.quality for document in documents], np.uint16)
    labels = {
        "domain": Labels(DOMAINS, None, domain),
        "topic": Labels(topics, None, topic.astype(np.uint16)),
        "quality": Labels(tuple(f"bin {i}" for i in range(len(QUALITY))), QUALITY, quality),
    }
    for task in tasks:
        order = np.unique(MATCHES[task], return_inverse=True)
        names = tuple(f"bin {i}" for i in range(len(order[0])))
        labels[f"match-{task}"] = Labels(names, tuple(order[0].tolist()), order[1][domain].astype(np.uint16))
    return labels


class _Language:
    """A bigram model over made-up words, in dialects that share the words and differ in the bigrams."""

    def __init__(self, rng: np.random.Generator, letters: str, end: str, num_words: int = 60, followers: int = 4):
        self.words = ["".join(rng.choice(list(letters), rng.integers(2, 7))) for _ in range(num_words)]
        self.next = rng.integers(num_words, size=(DIALECTS, num_words, followers))
        self.end = end

    def write(self, rng: np.random.Generator, dialect: int, length: int, noise: float) -> str:
        """`length` words of a dialect; a share `noise` of them does not depend on the word before."""
        followers = self.next[dialect]
        choices, is_random = rng.integers(followers.shape[1], size=length), rng.random(length) < noise
        anywhere, pauses = rng.integers(len(self.words), size=length), rng.random(length) < 0.1
        word, pieces = int(anywhere[0]), []
        for i in range(length):
            word = int(anywhere[i]) if is_random[i] else int(followers[word, choices[i]])
            pieces.append(self.words[word] + (self.end if pauses[i] else " "))
        return "".join(pieces)
