"""match-<task>: how similar a document is to the text of a reference task.

The idea of DSIR (arXiv 2302.03169): the ratio of the hashed n-gram distributions of the target and of the corpus.
Departures: a logistic regression estimates it in place of two bags of n-grams, and it becomes a category instead of a
resampling weight.
"""

import numpy as np

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ..text.contrast import Contrast
from ..text.corpus_text import CorpusText, TextBatch
from .base import Array, LabelAgent

PREFIX = "match-"


class MatchAgent(LabelAgent):
    """The score of a classifier of the task's validation text against training text. It never sees the other parts."""

    shares = (0.3, 0.6, 0.8, 0.9, 0.97)  # finer at the top, which a console selects

    def __init__(self, task: str) -> None:
        self.task, self.name = task, f"{PREFIX}{task}"

    def fit(self, documents: CorpusText, rng: np.random.Generator) -> None:
        if self.task not in documents.tasks:
            raise InputError(f"agent '{self.name}' matches an unknown task; {nearest(self.task, documents.tasks)}")
        self.contrast = Contrast(documents, documents.validation(self.task), rng)

    def measure(self, batch: TextBatch) -> Array:
        return self.contrast.log_odds(batch)
