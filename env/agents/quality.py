"""quality: how much a document reads like text that somebody wrote to explain something.

In the manner of the classifier of GPT-3 (arXiv 2005.14165, appendix A): good text against average text. Good text here
is that with most sentences among the long documents of its own domain (documentation, code with explaining comments),
so that quality is more than a domain. Alternatively the score of any transformers sequence classifier, such as
FineWeb-Edu's (arXiv 2406.17557), which is the quality agent of arXiv 2410.08102; with `moves` influence moves it, as
there.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.corpus.bins import bin_scores
from ...lm.corpus.corpus import Labels
from ...lm.ingest.sentences import sentences_per_kilobyte
from ..text.contrast import Contrast
from ..text.corpus_text import CorpusText, TextBatch
from .base import Array, LabelAgent

GOOD_SHARE = 0.1  # of a domain's long documents
LONG_BYTES, MIN_LONG = 1000, 100
MAX_GOOD = 1000
UNIT_CUTS = (1.0, 2.0, 3.0, 4.0)  # the paper's five bins of a score from 0 to 5


class QualityAgent(LabelAgent):
    """Static unless `moves`. model: folder (or hub name) of a sequence classifier to use instead of one that is fitted
    on the corpus; unit_bins: cut its score at 1, 2, 3 and 4 instead of into fifths of the text."""

    name = "quality"

    def __init__(self, moves: bool = False, model: str = "", unit_bins: bool = False) -> None:
        self.moves, self.model, self.unit_bins = moves, model, unit_bins
        self.uses_all_cores = bool(model)

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        if self.model:
            from ..text.sequence_classifier import SequenceClassifier  # it needs torch

            self.classifier = SequenceClassifier(self.model)
        else:
            good = np.sort(rng.permutation(_good(documents))[:MAX_GOOD])
            self.contrast = Contrast(documents, good, rng, whole=True)

    def measure(self, batch: TextBatch) -> Array:
        return self.classifier.scores(batch.texts) if self.model else self.contrast.log_odds(batch)

    def annotate(self, measured_D: Array, documents: CorpusText) -> Labels:
        if self.unit_bins:
            return bin_scores(measured_D, documents.sizes, documents.train, UNIT_CUTS)
        return super().annotate(measured_D, documents)


def _good(documents: CorpusText) -> NDArray[np.int64]:
    """The long documents of the sample with most sentences a kilobyte: GOOD_SHARE of those of each domain."""
    long = documents.sample[documents.sizes[documents.sample] >= LONG_BYTES]
    if len(long) < MIN_LONG:  # a corpus of short documents
        long = documents.sample
    rate = np.array([sentences_per_kilobyte(documents.texts[int(document)]) for document in long])
    chosen = []
    for domain in np.unique(documents.domain[long]):
        own = np.flatnonzero(documents.domain[long] == domain)
        chosen.append(long[own[np.argsort(-rate[own], kind="stable")[: max(1, int(GOOD_SHARE * len(own)))]]])
    return np.concatenate(chosen)
