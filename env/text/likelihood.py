"""How much likelier documents are under a model of some text than under one of the corpus."""

import numpy as np
from numpy.typing import NDArray

from .byte_codes import NUM_CODES, ByteCodes
from .contrast import FOLDS, neighbours_together
from .corpus_text import CorpusText, TextBatch

CORPUS_BYTES = 20.0  # that the corpus's model counts as, after each context, in a model of some text


class Likelihood:
    """Log-likelihood ratio, nats a byte, of the documents `chosen` (numbers, rising) over the corpus: the
    cross-entropy difference of Moore and Lewis (2010), under models that predict a byte from the three before it. It is
    cross-fitted as `Contrast` is: one of `chosen` is scored by a model that did not read it or its neighbours, and the
    others get the mean of all models."""

    def __init__(self, documents: CorpusText, chosen: NDArray[np.int64]) -> None:
        fold, self.chosen = neighbours_together(len(chosen)), chosen
        own, expected = np.zeros((FOLDS, 2, NUM_CODES)), np.ones(NUM_CODES)  # counts of each fold's grams and contexts
        for place, codes in documents.coded(chosen):
            expected[codes.gram] = CORPUS_BYTES * documents.byte_counts.probability(codes)
            for number in np.unique(fold[place]):
                inside = np.repeat(fold[place] == number, codes.count)
                own[number, 0] += np.bincount(codes.gram[inside], minlength=NUM_CODES)
                own[number, 1] += np.bincount(codes.context[inside], minlength=NUM_CODES)
        models = [_entries(own.sum(0) - without, expected) for without in own]
        self.unseen = np.zeros(len(chosen))  # of each of `chosen` by the model that did not read it
        for place, codes in documents.coded(chosen):
            for number in np.unique(fold[place]):
                here = fold[place] == number
                np.add.at(self.unseen, place[here], _sums(models[number], codes)[here])
        self.unseen /= np.maximum(documents.sizes[chosen], 1)
        mean = np.mean(models, 0).ravel()
        self.read = np.flatnonzero(mean).astype(np.int32)  # the other entries are 0, and many
        self.entries = mean[self.read]

    def a_byte(self, batch: TextBatch) -> NDArray[np.float64]:
        """Of the documents in `batch`, (D,)."""
        entries = np.zeros(2 * NUM_CODES, np.float32)
        entries[self.read] = self.entries
        ratio = np.zeros(len(batch.sizes))
        for document, codes in batch.byte_codes.parts():
            np.add.at(ratio, document, _sums(entries.reshape(2, NUM_CODES), codes))
        ratio /= np.maximum(batch.sizes, 1)
        place, inside = batch.places(self.chosen)
        ratio[place] = self.unseen[inside]
        return ratio


def _entries(count: NDArray[np.float64], expected: NDArray[np.float64]) -> NDArray[np.float32]:
    """A model by code, (2, NUM_CODES), of the counts of its grams and contexts, (2, NUM_CODES): the ratio of a byte is
    the first entry of its gram less the second of its context. Its probability is (count of the gram + expected) /
    (count of the context + CORPUS_BYTES), where `expected` (NUM_CODES,) is CORPUS_BYTES times that of the corpus."""
    return np.log1p(count / np.stack([expected, np.full(NUM_CODES, CORPUS_BYTES)])).astype(np.float32)


def _sums(entries: NDArray[np.float32], codes: ByteCodes) -> NDArray[np.float64]:
    """Sum of the ratios of each document's bytes, (D,)."""
    return codes.sums(entries[0, codes.gram] - entries[1, codes.context])
