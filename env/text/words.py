"""Words that tell what texts are about: those of middling frequency, and of them the ones that set some texts apart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .corpus_text import vectorizer

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

COMMON = 0.2  # by default a word in more than this share of the texts tells style, not topic
RARE = 0.004  # a word in less than this share tells one source
TYPICAL = 3  # words that name a topic


def content_words(texts: Iterable[str], common: float = COMMON) -> tuple[list[str], NDArray[np.int64]]:
    """The words in a middling share of the texts, at most `common`, and the feature column of each, (words,); where
    these are few, all words there are, at worst one or none."""
    analyse = vectorizer().build_analyzer()
    every, number = Counter[str](), 0
    for text in texts:
        every.update({word for word in analyse(text) if " " not in word})  # of pairs, no feature
        number += 1
    seen = {word: count for word, count in every.items() if word.isalpha()}
    limits = RARE * number, common * number
    words = sorted(word for word, count in seen.items() if limits[0] <= count <= limits[1] and len(word) > 2)
    if len(words) < 2:  # very few texts or words
        words = sorted(seen) if len(seen) > 1 else sorted(every)
    if not words:
        return [], np.zeros(0, np.int64)
    columns, first = np.unique(vectorizer().transform(words).indices, return_index=True)
    return [words[i] for i in first], columns


def typical_words(words: Sequence[str], inside: "csr_matrix", mean: NDArray[np.float32]) -> list[str]:
    """The TYPICAL words that stand out most in some texts. inside: their features, (texts, words); mean: the mean
    feature of all texts, (words,)."""
    gain = np.asarray(inside.mean(0)).ravel() - mean if inside.shape[0] else mean
    return [words[i] for i in np.argsort(-gain, kind="stable")[:TYPICAL]]
