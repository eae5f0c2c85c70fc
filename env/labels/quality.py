"""quality: how much a document reads like text that somebody wrote to explain something.

In the manner of the classifier of GPT-3 (arXiv 2005.14165, appendix A): good text against average text. Good is here
what has most sentences among the long documents of its own domain (documentation, code with explaining comments), so
that quality is more than a domain.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.explanatory import sentences_per_kilobyte
from ..agents.base import Annotation
from ..documents import Documents
from .bins import bin_scores
from .contrast import log_odds

EDGES = (0.2, 0.4, 0.6, 0.8)
GOOD_SHARE = 0.1  # of a domain's long documents
LONG_BYTES = 1000
MAX_GOOD = 1000


def quality_annotation(documents: Documents, rng: np.random.Generator) -> Annotation:
    """Classifier of each domain's most explanatory training documents against all training documents."""
    good = np.sort(rng.permutation(_good(documents))[:MAX_GOOD])
    scores = log_odds(documents.features, good, np.array(documents.train, np.int64), rng)
    return bin_scores(scores, documents.sizes, documents.train, EDGES)


def _good(documents: Documents) -> NDArray[np.int64]:
    """The long training documents with most sentences a kilobyte, GOOD_SHARE of each domain's."""
    long = np.array([document for document in documents.train if documents.sizes[document] >= LONG_BYTES], np.int64)
    rate = np.array([sentences_per_kilobyte(documents.texts[document]) for document in long])
    chosen = []
    for domain in np.unique(documents.domain[long]):
        own = np.flatnonzero(documents.domain[long] == domain)
        chosen.append(long[own[np.argsort(-rate[own], kind="stable")[: max(1, int(GOOD_SHARE * len(own)))]]])
    return np.concatenate(chosen)
