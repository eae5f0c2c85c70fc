"""Building a corpus folder from documents: their text, their labels, and tokens of a tokenizer, given or trained."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..corpus.bins import MISSING, bin_scores, quantile_bins
from ..corpus.corpus import TRAIN, Corpus, Labels
from ..corpus.texts import Texts
from ..corpus.tokenizer import checked, end_of_text, load_tokenizer, train_tokenizer
from ..corpus.writer import MAX_CATEGORIES, CorpusWriter
from ..io.errors import InputError
from ..records.faults import Faults
from .documents import DOMAIN, Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_BYTES = 10_000_000  # of training text, to train a tokenizer on

Progress = Callable[[str, float], None]  # (name of the stage, share of it that is done)
# (texts, splits, domain, function to tell the share that is done) -> more labels
Annotate = Callable[[Texts, dict[str, range], Labels, Callable[[float], None]], Mapping[str, Labels]]


def build_corpus(
    path: Path,
    splits: Mapping[str, Iterable[Document]],
    reference_tasks: tuple[str, ...],
    tokenizer: int | Path,
    annotate: Annotate | None = None,
    about: dict[str, Any] | None = None,
    progress: Progress | None = None,
    cuts: Mapping[str, Sequence[float]] | None = None,
    counts: Mapping[str, int] | None = None,
    faults: Sequence[Faults] = (),
) -> Corpus:
    """Build a corpus at `path` and open it. Its labels are `domain`, the others that the documents have, and those that
    `annotate` gives. tokenizer: the vocabulary size of one to train, or the folder of one that exists; cuts: where to
    cut the scores of a label into bins (default: quintiles of the text); counts, faults: copied once all documents are
    read. InputError: the tokenizer cannot be used, which is known before they are read."""
    report = progress or (lambda stage, share: None)
    columns: dict[str, _Column] = {DOMAIN: _Column(DOMAIN)}
    ready: Tokenizer | int
    if isinstance(tokenizer, Path):
        ready = load_tokenizer(tokenizer)
        end_of_text(ready, tokenizer)  # or damaged settings would be found after the long reading
    else:
        ready = tokenizer

    def texts_of(documents: Iterable[Document], start: int) -> Iterator[str]:
        for number, document in enumerate(documents, start):
            columns[DOMAIN].add(number, document.domain)
            for name, value in document.labels.items():
                columns.setdefault(name, _Column(name)).add(number, value)
            yield document.text

    with CorpusWriter(path, reference_tasks, about) as writer:
        for split, documents in splits.items():
            passing = texts_of(documents, writer.num_documents)
            writer.add_split(split, passing if isinstance(ready, int) else checked(passing, ready, str(tokenizer)))
        writer.counts.update(counts or {})
        writer.bad_rows += [facts for each in faults if (facts := each.facts())]
        texts, train = writer.texts(), writer.splits[TRAIN]
        given = {name: column.labels(texts, train, (cuts or {}).get(name)) for name, column in columns.items()}
        for name, labels in given.items():
            writer.add_labels(name, labels)
        report("tokenise", 0)
        ready = _trained(ready, texts, train) if isinstance(ready, int) else ready
        source = tokenizer if isinstance(tokenizer, Path) else None
        writer.encode(ready, lambda share: report("tokenise", share), source)
        report("label", 0)
        if annotate:
            found = annotate(texts, writer.splits, given[DOMAIN], lambda share: report("label", share))
            for name in found.keys() & given.keys():
                raise InputError(f"label '{name}' comes with the documents, and an agent gives it too; leave one out")
            for name, labels in found.items():
                writer.add_labels(name, labels)
        report("label", 1)
    return Corpus.open(path)


class _Column:
    """The values of one label, collected document by document: eight bytes each."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers: dict[str, int] = {}  # of categories, in order of appearance
        self.values = array("d")  # numbers of categories, or scores; NaN where a document has none
        self.are_scores = False

    def add(self, document: int, value: str | float | None) -> None:
        self.values.extend([np.nan] * (document - len(self.values)))  # of documents without this label
        if isinstance(value, str):
            self.values.append(self.numbers.setdefault(value, len(self.numbers)))
            if len(self.numbers) > MAX_CATEGORIES:
                raise InputError(
                    f"label '{self.name}' has more than {MAX_CATEGORIES} categories; coarsen it, or if it is a number "
                    f"give it as a score, which is cut into bins"
                )
        else:
            self.are_scores |= value is not None
            self.values.append(np.nan if value is None else value)

    def labels(self, texts: Texts, train: range, cuts: Sequence[float] | None) -> Labels:
        values = np.concatenate([np.frombuffer(self.values), np.full(len(texts) - len(self.values), np.nan)])
        if np.isnan(values[train.start : train.stop]).all():
            raise InputError(f"no training document has the label '{self.name}'; name a column that has values")
        if self.are_scores:
            sizes = np.diff(texts.offsets)
            return quantile_bins(values, sizes, train) if cuts is None else bin_scores(values, sizes, train, cuts)
        names = sorted(self.numbers, key=_natural)
        place = np.empty(len(names), np.uint16)
        place[[self.numbers[name] for name in names]] = np.arange(len(names))
        missing = np.isnan(values)
        column = np.where(missing, len(names), place[np.where(missing, 0, values).astype(np.int64)]).astype(np.uint16)
        return Labels((*names, MISSING) if missing.any() else tuple(names), None, column)


def _natural(name: str) -> tuple[int, str]:
    """Sort key: whole numbers by size, then all else by letters."""
    return (int(name), "") if name.isdecimal() else (1 << 62, name)


def _trained(vocab_size: int, texts: Texts, train: range) -> "Tokenizer":
    """A tokenizer trained on evenly spaced training documents."""
    total = int(texts.offsets[train.stop] - texts.offsets[train.start])
    return train_tokenizer((texts[document] for document in train[:: max(1, total // TOKENIZER_BYTES)]), vocab_size)
