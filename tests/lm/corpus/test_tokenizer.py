"""Tokenizers trained here against the text that they must give back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pretraingym.lm.corpus.tokenizer import END_OF_TEXT, end_of_text, load_tokenizer, train_tokenizer
from pretraingym.lm.io.errors import InputError

TOKENIZER = train_tokenizer(["the quick brown fox, the quick brown dog\n"] * 3, 270)


@given(st.text(max_size=60))
@example(f"it ends in {END_OF_TEXT}{END_OF_TEXT}, and goes on")
def test_any_text_comes_back(text: str) -> None:
    """Encoding loses nothing, whatever the tokenizer was trained on, and no text has the token that ends one."""
    encoding = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(encoding.ids) == text
    assert all(end_of_text(TOKENIZER) != token < TOKENIZER.get_vocab_size() for token in encoding.ids)


def test_training_merges_what_is_frequent() -> None:
    """The vocabulary has the size asked for, and training text is shorter than its bytes."""
    assert TOKENIZER.get_vocab_size() == 270
    assert len(TOKENIZER.encode("the quick brown fox").ids) < 19


@pytest.mark.parametrize("size", [256, 99_999_999_999])
def test_a_vocabulary_that_cannot_be(size: int) -> None:
    """Fewer tokens than bytes, and more than memory holds, are refused."""
    with pytest.raises(
        InputError, match=f"vocab_size {size} given, expected 257, one token a byte and one .* to 1,048,576"
    ):
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


@pytest.mark.parametrize(
    ("files", "token"),
    [
        ({}, 0),
        ({"tokenizer_config.json": {"eos_token": "q"}}, TOKENIZER.token_to_id("q")),
        ({"tokenizer_config.json": {"eos_token": {"content": "q", "lstrip": False}}}, TOKENIZER.token_to_id("q")),
        ({"tokenizer_config.json": {}, "special_tokens_map.json": {"eos_token": "q"}}, TOKENIZER.token_to_id("q")),
        ({"tokenizer_config.json": {"eos_token": None}}, None),
        ({"tokenizer_config.json": {"eos_token": "</s>"}}, None),
    ],
)
def test_a_tokenizer_ends_texts_with_its_own_token(files: dict[str, Any], token: int | None, tmp_path: Path) -> None:
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    for place in (tmp_path, tmp_path / "tokenizer.json"):
        assert end_of_text(load_tokenizer(place), place) == token


@pytest.mark.parametrize("content", ["{", "[]", '{"eos_token": {}}'])
def test_damaged_settings_of_a_tokenizer_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer_config\.json is damaged .*; save the tokenizer again"):
        end_of_text(TOKENIZER, tmp_path)
