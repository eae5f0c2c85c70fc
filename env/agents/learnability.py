"""learnability: how much of a document a model has not learned yet but can learn.

The reducible loss of RHO-LOSS (arXiv 2206.07137): the loss of the model in training minus that of a reference model
that has learned what can be learned. High: not yet learned, but learnable; low: noise, and what is known already.
Departures: labels are given once, so a small model early in its training stands for the model in training, and the same
model at its end for the reference; the difference is of a document's beginning, in nats a byte, and a static score.
"""

import numpy as np

from ..text.corpus_text import CorpusText, TextBatch
from .base import Array, LabelAgent


class LearnabilityAgent(LabelAgent):
    """Fifths of the text by the fall of a small model's loss."""

    name = "learnability"
    uses_all_cores = True

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        self.model = documents.language_model

    def measure(self, batch: TextBatch) -> Array:
        return self.model.losses(batch.texts, early=True) - self.model.losses(batch.texts)
