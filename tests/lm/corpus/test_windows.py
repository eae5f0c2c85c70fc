"""Windows against a plain list of lists of the windows of each document."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.windows import MAX_PARTS, PADDING, Windows, count_parts
from pretraingym.lm.io.errors import InputError


@dataclass
class Tokens:
    """The part of a corpus that windows read."""

    tokens: np.ndarray
    token_offsets: np.ndarray

    @property
    def num_documents(self) -> int:
        return len(self.token_offsets) - 1


def plain(tokens: list[int], context: int) -> list[list[int]]:
    """A document's windows by their definition."""
    starts = list(range(0, len(tokens), context))
    if len(tokens) >= context:
        starts[-1] = len(tokens) - context
    return [tokens[start : start + context] for start in starts]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 17))
def test_windows_are_those_of_the_definition(lengths: list[int], context: int) -> None:
    """Number, owner, length and tokens of every window, for documents of any length, empty ones too."""
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = np.arange(offsets[-1]).astype(np.uint16)
    windows = Windows(Tokens(tokens, offsets), context)  # type: ignore[arg-type]
    documents = [tokens[a:b].tolist() for a, b in zip(offsets, offsets[1:], strict=False)]
    expected = [(owner, window) for owner, text in enumerate(documents) for window in plain(text, context)]
    ids = windows.ids(range(len(documents)))
    assert len(ids) == len(expected)
    assert (np.diff(ids) > 0).all()
    assert windows.document(ids).tolist() == [owner for owner, _ in expected]
    assert windows.lengths(ids).tolist() == [len(window) for _, window in expected]
    padded = [window + [PADDING] * (context - len(window)) for _, window in expected]
    assert windows.fetch(ids).tolist() == padded
    for owner in range(len(documents)):
        assert ids[[of == owner for of, _ in expected]].tolist() == windows.ids(range(owner, owner + 1)).tolist()


def test_shapes_and_types(tiny_corpus: Corpus) -> None:
    """Ids of any shape give tokens of that shape and a context more; ids need no order and may repeat."""
    windows = Windows(tiny_corpus, 32)
    ids = np.random.default_rng(0).choice(windows.ids(range(tiny_corpus.num_documents)), (2, 3, 4))
    tokens = windows.fetch(ids)
    assert tokens.shape == (2, 3, 4, 32)
    assert tokens.dtype == np.int64
    assert (tokens[1, 2, 3] == windows.fetch(ids[1, 2, 3])).all()
    assert windows.fetch([]).shape == (0, 32)


def test_windows_of_a_split_are_its_documents(tiny_corpus: Corpus) -> None:
    """The ids of all splits together are all windows, each once, and each belongs to its split's documents."""
    windows = Windows(tiny_corpus, 50)
    ids = [windows.ids(documents) for documents in tiny_corpus.splits.values()]
    assert sorted(i for part in ids for i in part) == windows.ids(range(tiny_corpus.num_documents)).tolist()
    for part, documents in zip(ids, tiny_corpus.splits.values(), strict=True):
        assert set(windows.document(part).tolist()) == set(documents)


def test_bad_input(tiny_corpus: Corpus) -> None:
    """Ids outside the corpus and a context of nothing are refused."""
    windows = Windows(tiny_corpus, 50)
    last = windows.ids(range(tiny_corpus.num_documents))[-1]
    for ids in ([-1], [tiny_corpus.num_documents << 24]):
        with pytest.raises(InputError, match="window ids of documents"):
            windows.fetch(ids)
    with pytest.raises(InputError, match="window .* of document .* given, which has .* tokens in windows of 50"):
        windows.fetch([0, last + 1])
    with pytest.raises(InputError, match="context 0"):
        Windows(tiny_corpus, 0)


def test_a_document_with_more_windows_than_an_id_can_tell_apart_is_refused() -> None:
    lengths = np.array([3, 2 * MAX_PARTS])
    assert count_parts(lengths, 2).tolist() == [2, MAX_PARTS]
    with pytest.raises(InputError, match="33554433 tokens has 16777217 windows of 2, expected at most 16777216"):
        count_parts(lengths + 1, 2)
