"""Words that tell what texts are about."""

import numpy as np
from scipy.sparse import csr_matrix

from pretraingym.env.text.corpus_text import vectorizer
from pretraingym.env.text.words import content_words, typical_words


def test_words_of_middling_frequency() -> None:
    texts = [f"the {'comet' if i % 6 == 0 else 'sonata' if i % 6 == 1 else 'of'} it" for i in range(600)]
    words, columns = content_words([*texts, "hapax"])
    assert set(words) == {"comet", "sonata"}
    assert vectorizer().transform(words).indices.tolist() == columns.tolist()
    assert set(content_words(["one two"])[0]) == {"one", "two"}
    assert content_words([""])[0] == []


def test_words_that_stand_out() -> None:
    features = csr_matrix(np.array([[0.1, 0.9, 0.5, 0.3], [0.2, 0.1, 0.4, 0.1]]))
    mean = np.full(4, 0.2)
    assert typical_words(list("abcd"), features[[0]], mean) == ["b", "c", "d"]
    assert typical_words(list("abcd"), features[[1]], mean)[0] == "c"


def test_common_words_count_if_it_is_asked_for() -> None:
    texts = [
        f"{'comet' if i % 2 else 'sonata'} {'orbit' if i % 12 == 1 else 'tempo' if i % 12 == 2 else ''}"
        for i in range(60)
    ]
    assert set(content_words(texts)[0]) == {"orbit", "tempo"}
    assert set(content_words(texts, 0.5)[0]) == {"comet", "sonata", "orbit", "tempo"}
