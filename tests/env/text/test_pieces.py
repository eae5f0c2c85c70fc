"""Pieces of documents against the documents, and against numbers worked out by hand."""

import numpy as np
from scipy.sparse import csr_matrix

from pretraingym.env.text.corpus_text import CorpusText
from pretraingym.env.text.pieces import OF_ONE, PIECE_BYTES, Pieces, chosen, cut, piece_counts
from pretraingym.lm.corpus.corpus import Corpus


def test_a_text_is_cut_into_pieces_of_the_same_length() -> None:
    text = "".join(map(str, range(500)))
    pieces = cut(text, 7)
    assert "".join(pieces) == text
    assert {len(piece) for piece in pieces} == {len(text) // 7, len(text) // 7 + 1}
    sizes = np.array([0, 3, PIECE_BYTES, int(2.6 * PIECE_BYTES)])
    assert piece_counts(sizes).tolist() == [1, 1, 1, 3]
    assert cut("", 1) == [""]


def test_a_document_gets_the_mean_of_its_pieces() -> None:
    pieces = Pieces(csr_matrix((4, 1)), np.array([1, 3]))
    np.testing.assert_allclose(pieces.means(np.array([[5.0, 0], [1, 2], [2, 4], [6, 0]])), [[5, 0], [3, 2]])


def test_pieces_are_the_same_in_a_batch_as_where_agents_are_fitted(tiny_corpus: Corpus) -> None:
    documents = CorpusText(tiny_corpus.texts, tiny_corpus.splits, tiny_corpus.labels["domain"].column)
    first = documents.sample[:9]
    pieces = documents.batch(range(9)).pieces
    place, features = documents.some_pieces(first, 10**6, np.random.default_rng(0))
    np.testing.assert_array_equal(place, np.repeat(np.arange(9), pieces.count))
    assert abs(features - pieces.features).max() == 0
    np.testing.assert_allclose(features.multiply(features).sum(1), 1, atol=1e-5)
    some, fewer = documents.some_pieces(first, 4, np.random.default_rng(0))
    assert len(some) == fewer.shape[0] == 4
    for at, row in zip(some, fewer, strict=True):
        own = pieces.features[place == at]
        assert min(abs(own[index] - row).max() for index in range(own.shape[0])) == 0


def test_a_long_document_takes_no_others_place() -> None:
    count = np.array([1, 100_000, 1, 3, *[40] * 20])
    owner = np.repeat(np.arange(len(count)), count)
    for seed in range(5):
        number = chosen(count, 600, np.random.default_rng(seed))
        assert (np.diff(number) > 0).all()
        of_each = np.bincount(owner[number], minlength=len(count))
        assert of_each.sum() == 600
        assert of_each.min() >= 1
        assert of_each.max() <= 600 * OF_ONE
    many = chosen(np.ones(1000, np.int64), 600, np.random.default_rng(0))  # not all can have one
    assert len(np.unique(many)) == 600
    assert chosen(np.array([2, 1]), 600, np.random.default_rng(0)).tolist() == [0, 1, 2]
