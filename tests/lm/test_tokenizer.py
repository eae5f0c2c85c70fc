"""Tokenizers trained here against the text that they must give back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.errors import InputError
from pretraingym.lm.tokenizer import train_tokenizer

TOKENIZER = train_tokenizer(["the quick brown fox, the quick brown dog\n"] * 3, 270)


@given(st.text(max_size=60))
def test_any_text_comes_back(text: str) -> None:
    """Encoding loses nothing, whatever the tokenizer was trained on, and has no special tokens."""
    encoding = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(encoding.ids) == text
    assert all(token < TOKENIZER.get_vocab_size() for token in encoding.ids)


def test_training_merges_what_is_frequent() -> None:
    """The vocabulary has the size asked for, and training text is shorter than its bytes."""
    assert TOKENIZER.get_vocab_size() == 270
    assert len(TOKENIZER.encode("the quick brown fox").ids) < 19


def test_too_small_a_vocabulary() -> None:
    """Fewer tokens than bytes is refused."""
    with pytest.raises(InputError, match="at least 256"):
        train_tokenizer(["a"], 255)
