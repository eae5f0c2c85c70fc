"""Tokenizers trained here against the text that they must give back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraingym.lm.corpus.tokenizer import load_tokenizer, train_tokenizer
from pretraingym.lm.io.errors import InputError

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


@pytest.mark.parametrize("size", [255, 99_999_999_999])
def test_a_vocabulary_that_cannot_be(size: int) -> None:
    """Fewer tokens than bytes, and more than memory holds, are refused."""
    with pytest.raises(InputError, match=f"vocab_size {size} given, expected 256, one token a byte, to 1,048,576"):
        train_tokenizer(["a"], size)


def test_what_is_loaded_neither_cuts_nor_pads(tmp_path: Path) -> None:
    """As transformers saves one that was once used so."""
    tokenizer = train_tokenizer(["the quick brown fox"], 260)
    plain = tokenizer.to_str()
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=9)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(tokenizer.encode("the quick brown fox").ids) == 9
    loaded = load_tokenizer(tmp_path)
    assert loaded.to_str() == plain
    assert loaded.decode(loaded.encode("the quick brown fox").ids) == "the quick brown fox"
