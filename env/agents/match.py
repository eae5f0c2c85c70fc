"""match-<task>: how similar a document is to the text of a reference task.

The idea of DSIR (arXiv 2302.03169): the ratio of the n-gram distributions of the target and of the corpus. Departures:
it becomes a category instead of a resampling weight, and two estimates of it are added, since each finds what the other
misses. One is a logistic regression on words and pairs of words, of pieces of a paragraph's length; a document has the
mean over its pieces, so that its length does not count. The other is the ratio of two models of the next byte, which
sees spelling, numbers and layout.

Measured by what the rule `lift` gains on training scenarios, against the regression on whole documents alone: .213
nats in place of .185 on 26 that nothing was chosen on (difference .028, standard error .006), .105 in place of .085 on
36 null scenarios (.020, .005), .188 in place of .169 in `compare` on 48 (.019, .007). Pieces have most of
it on the first, bytes on the second. Finer categories at the top add nothing (experiments/results/2026-11-30-labels/).
The pieces were drawn otherwise then: those of a long document were as many as its share of the text.
"""

import numpy as np

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..text.contrast import Contrast
from ..text.corpus_text import CorpusText, TextBatch
from ..text.likelihood import Likelihood
from .base import Array, LabelAgent

PREFIX = "match-"
LIKELIHOOD_BYTES = 14.0  # of the log-likelihood ratio, beside the log-odds of a piece: both then spread about alike


class MatchAgent(LabelAgent):
    """Log-odds of a classifier of the task's validation text against training text, and the log-likelihood ratio of a
    model of that text over one of the corpus. It never sees the other parts."""

    shares = (0.3, 0.6, 0.8, 0.9, 0.97)  # finer at the top, which a console selects

    def __init__(self, task: str) -> None:
        self.task, self.name = task, f"{PREFIX}{task}"

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        if self.task not in documents.tasks:
            raise InputError(f"agent '{self.name}' matches an unknown task; {nearest(self.task, documents.tasks)}")
        own = documents.validation(self.task)
        self.contrast, self.likelihood = Contrast(documents, own, rng), Likelihood(documents, own)

    def measure(self, batch: TextBatch) -> Array:
        return self.contrast.log_odds(batch) + LIKELIHOOD_BYTES * self.likelihood.a_byte(batch)
