"""match-<task>: how much a document is like a reference task's text.

The idea of DSIR (arXiv 2302.03169): the ratio of the hashed n-gram distributions of the target and of the corpus. Here
a logistic regression estimates it in place of two bags of n-grams, and it becomes a category instead of a resampling
weight.
"""

import numpy as np

from ..agents.base import Annotation
from ..documents import Documents
from .bins import bin_scores
from .contrast import log_odds

EDGES = (0.3, 0.6, 0.8, 0.9, 0.97)  # finer at the top, where a selecting console looks


def match_annotation(documents: Documents, task: str, rng: np.random.Generator) -> Annotation:
    """Classifier of the task's validation text against training text. The test half is never looked at."""
    positives = np.array(documents.splits[f"{task}/validation"], np.int64)
    scores = log_odds(documents.features, positives, np.array(documents.train, np.int64), rng)
    return bin_scores(scores, documents.sizes, documents.train, EDGES)
