"""What a labeller sees of a corpus: texts, splits, domains, and features that are computed once for all labellers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import HashingVectorizer

NUM_FEATURES = 1 << 18
TOKEN = r"[^\W\d_]{2,}|\d|[^\w\s]"  # a word (identifiers fall into theirs), a digit or a punctuation mark


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
class Documents:
    """D documents to label. domain: (D,) categories; sizes: (D,) bytes, what bins are balanced by (not tokens, so that
    labels do not depend on a tokenizer)."""

    texts: Sequence[str]
    splits: dict[str, range]
    domain: NDArray[np.uint16]
    sizes: NDArray[np.int64]

    @property
    def train(self) -> range:
        """The training documents."""
        return self.splits["train"]

    @cached_property
    def features(self) -> csr_matrix:
        """(D, NUM_FEATURES) float32: log counts times inverse document frequency in the training split, unit rows."""
        from sklearn.feature_extraction.text import TfidfTransformer

        counts = vectorizer().transform(self.texts)
        weigh = TfidfTransformer(sublinear_tf=True).fit(counts[self.train.start : self.train.stop])
        return weigh.transform(counts, copy=False)
