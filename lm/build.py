"""Building a corpus: documents to folder, with a tokenizer trained on their own text."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .corpus import TRAIN, Corpus, Labels
from .corpus_writer import CorpusWriter
from .sources import Document
from .texts import Texts
from .tokenizer import train_tokenizer

TOKENIZER_BYTES = 10_000_000  # of training text that a tokenizer is trained on
DOMAIN = "domain"

Progress = Callable[[str, float], None]  # (what is being done, share of it that is done)
Annotate = Callable[[Texts, dict[str, range], Labels], Mapping[str, Labels]]  # (texts, splits, domain) -> more labels


def build_corpus(
    path: Path,
    splits: Mapping[str, Iterable[Document]],
    reference_tasks: tuple[str, ...],
    vocab_size: int,
    annotate: Annotate | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Build a corpus at `path` and open it. Its labels are `domain`, from the documents, and what `annotate` gives."""
    tell = progress or (lambda stage, share: None)
    domains: list[str] = []

    def texts_of(documents: Iterable[Document]) -> Iterator[str]:
        for document in documents:
            domains.append(document.domain)
            yield document.text

    with CorpusWriter(path, reference_tasks, about) as writer:
        for split, documents in splits.items():
            writer.add_split(split, texts_of(documents))
        texts = writer.texts()
        domain = _domain_labels(domains)
        writer.add_labels(DOMAIN, domain)
        tell("tokenise", 0)
        tokenizer = train_tokenizer(_sample(texts, writer.splits[TRAIN]), vocab_size)
        writer.encode(tokenizer, lambda share: tell("tokenise", share))
        tell("label", 0)
        for name, labels in annotate(texts, writer.splits, domain).items() if annotate else ():
            writer.add_labels(name, labels)
        tell("label", 1)
    return Corpus.open(path)


def _domain_labels(domains: list[str]) -> Labels:
    """The documents' domains as a label column, categories in order of name."""
    names = sorted(set(domains))
    number = {name: i for i, name in enumerate(names)}
    return Labels(tuple(names), None, np.array([number[name] for name in domains], np.uint16))


def _sample(texts: Texts, documents: range) -> Iterator[str]:
    """Evenly spaced documents of a split, about TOKENIZER_BYTES of them."""
    total = int(texts.offsets[documents.stop] - texts.offsets[documents.start])
    return (texts[document] for document in documents[:: max(1, total // TOKENIZER_BYTES)])
