"""perplexity: how well a small model of the corpus's own text predicts a document.

Perplexity pruning (arXiv 2309.04564, arXiv 2405.20541): a small model trained on a random part of the corpus ranks all
documents, and a band of ranks is kept; which band is best differs between corpora. Departures: the bands are
categories, and influence tells which of them helps; the loss is of a document's beginning, in nats a byte.
"""

import numpy as np

from ..text.corpus_text import CorpusText, TextBatch
from .base import Array, LabelAgent


class PerplexityAgent(LabelAgent):
    """Fifths of the text by the loss of a model late in its training."""

    name = "perplexity"
    moves = True
    uses_all_cores = True

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        self.model = documents.language_model

    def measure(self, batch: TextBatch) -> Array:
        return self.model.losses(batch.texts)
