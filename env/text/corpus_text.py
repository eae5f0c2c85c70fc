"""A corpus as agents see it when they label it: texts, splits, domains, and features computed once for all agents."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.corpus import reference_split
from ...lm.corpus.texts import Texts
from .byte_codes import ByteCodes, ByteCounts
from .pieces import Pieces, chosen, cut, piece_counts

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import HashingVectorizer

    from .language_model import LanguageModel

NUM_FEATURES = 1 << 18
TOKEN = r"[^\W\d_]{2,}|\d|[^\w\s]"  # a word (identifiers fall into several), a digit or a punctuation mark
SAMPLE_DOCUMENTS, SAMPLE_BYTES = 16_000, 64_000_000  # at most, that agents are fitted on: they bound the memory
CODED_BYTES = 1_000_000  # about so many at a time


def vectorizer() -> "HashingVectorizer":
    """Counts of words, digits, punctuation marks and pairs of them, hashed into NUM_FEATURES columns."""
    from sklearn.feature_extraction.text import HashingVectorizer

    return HashingVectorizer(
        n_features=NUM_FEATURES,
        ngram_range=(1, 2),
        token_pattern=TOKEN,
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )


@dataclass(frozen=True)
class TextBatch:
    """D consecutive documents to measure. first: the first one's number in the corpus; domain: (D,) categories; sizes:
    (D,) UTF-8 bytes; weigh: the transformer of `CorpusText.weigh`."""

    texts: list[str]
    domain: NDArray[np.uint16]
    sizes: NDArray[np.int64]
    first: int
    weigh: Any

    @cached_property
    def features(self) -> "csr_matrix":
        """(D, NUM_FEATURES) float32: log counts times inverse document frequency, each document's of unit length."""
        return self.weigh.transform(vectorizer().transform(self.texts), copy=False)

    def places(self, documents: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Where in the batch those of these documents (numbers) are that it has, and which of them these are."""
        place = documents - self.first
        inside = (place >= 0) & (place < len(self.sizes))
        return place[inside], inside

    @property
    def whole(self) -> Pieces:
        """The documents, each in one piece."""
        return Pieces(self.features, np.ones(len(self.texts), np.int64))

    @cached_property
    def pieces(self) -> Pieces:
        """The documents' pieces, with features as `features` has them of documents."""
        count = piece_counts(self.sizes)
        texts = (piece for text, number in zip(self.texts, count.tolist(), strict=True) for piece in cut(text, number))
        return Pieces(self.weigh.transform(vectorizer().transform(texts), copy=False), count)

    @cached_property
    def byte_codes(self) -> ByteCodes:
        """Of the documents' bytes."""
        return ByteCodes.of(self.texts)


@dataclass(frozen=True)
class CorpusText:
    """The D documents of a corpus, to be labelled. domain: (D,) categories; sizes: (D,) bytes, by which bins are made
    equal (bytes and not tokens, so that labels do not depend on a tokenizer)."""

    texts: Texts
    splits: dict[str, range]
    domain: NDArray[np.uint16]

    @property
    def train(self) -> range:
        """The training documents."""
        return self.splits["train"]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The reference tasks, in order of name."""
        return tuple(sorted({split.split("/")[0] for split in self.splits} - {"train"}))

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """(D,) UTF-8 bytes."""
        return np.diff(self.texts.offsets)

    @cached_property
    def sample(self) -> NDArray[np.int64]:
        """Numbers of the training documents to fit on, rising: all, or evenly spaced ones within SAMPLE_DOCUMENTS and
        SAMPLE_BYTES."""
        train = self.train
        total = int(self.texts.offsets[train.stop] - self.texts.offsets[train.start])
        stride = max(-(-len(train) // SAMPLE_DOCUMENTS), -(-total // SAMPLE_BYTES))
        return np.arange(train.start, train.stop, stride)

    def validation(self, task: str) -> NDArray[np.int64]:
        """Numbers of the documents of a reference task's validation part. Agents never see the other parts."""
        return np.array(self.splits[reference_split(task, "validation")], np.int64)

    def features(self, documents: NDArray[np.int64]) -> "csr_matrix":
        """As TextBatch.features, of these documents (D,), each of the sample."""
        return self.weigh.transform(self._counts[np.searchsorted(self.sample, documents)], copy=False)

    def some_pieces(
        self, documents: NDArray[np.int64], most: int, rng: np.random.Generator, whole: bool = False
    ) -> tuple[NDArray[np.int64], "csr_matrix"]:
        """Pieces of these documents (D,), at most `most`, as `pieces.chosen` has them: the place in `documents` of each
        one's document (pieces,), rising, and features (pieces, NUM_FEATURES), as TextBatch.pieces has them. whole:
        documents are not cut."""
        count = np.ones(len(documents), np.int64) if whole else piece_counts(self.sizes[documents])
        first = np.cumsum(count) - count
        number = chosen(count, most, rng)
        place = np.searchsorted(first, number, side="right") - 1
        texts: list[str] = []
        for at in np.unique(place):
            pieces = cut(self.texts[int(documents[at])], int(count[at]))
            texts += [pieces[piece] for piece in number[place == at] - first[at]]
        return place, self.weigh.transform(vectorizer().transform(texts), copy=False)

    def batch(self, documents: range) -> TextBatch:
        """A batch of those documents, to be measured."""
        at = slice(documents.start, documents.stop)
        return TextBatch(self.texts[at], self.domain[at], self.sizes[at], documents.start, self.weigh)

    @cached_property
    def language_model(self) -> "LanguageModel":
        """A small language model trained on the sample."""
        from .language_model import LanguageModel  # it needs torch

        return LanguageModel(self.texts, self.sample, np.random.default_rng(0))

    def coded(self, documents: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], ByteCodes]]:
        """The bytes of these documents (D,), some at a time, a long document in several pieces: each piece's place in
        `documents`, and the pieces' codes."""
        group = np.cumsum(self.sizes[documents]) // CODED_BYTES
        for number in np.unique(group):
            place = np.flatnonzero(group == number)
            codes = ByteCodes.of(self.texts[int(document)] for document in documents[place])
            for piece, part in codes.parts():
                yield place[piece], part

    @cached_property
    def byte_counts(self) -> ByteCounts:
        """Of the sample's bytes."""
        counts = ByteCounts()
        for _, codes in self.coded(self.sample):
            counts.add(codes)
        return counts

    @cached_property
    def weigh(self) -> Any:
        """The transformer of counts into features: weights by inverse document frequency, fitted on the sample."""
        from sklearn.feature_extraction.text import TfidfTransformer

        return TfidfTransformer(sublinear_tf=True).fit(self._counts)

    @cached_property
    def _counts(self) -> "csr_matrix":
        """(sample, NUM_FEATURES), of the words of each document of the sample."""
        return vectorizer().transform(self.texts[int(document)] for document in self.sample)
