"""Tokenizers trained here against the text that they must give back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from pretraingym.lm.corpus.tokenizer import (
    CHECKED_TEXTS,
    END_OF_TEXT,
    MAX_VOCABULARY,
    checked,
    encode_batch,
    end_of_text,
    load_tokenizer,
    train_tokenizer,
    vocabulary_size,
)
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


def words(model: models.Model) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def test_the_vocabulary_reaches_the_largest_id() -> None:
    """Where ids have gaps, and where tokens were added behind them."""
    tokenizer = words(models.WordLevel({"a": 0, "b": 69_999}, unk_token="a"))
    assert (tokenizer.get_vocab_size(), vocabulary_size(tokenizer)) == (2, 70_000)
    added = train_tokenizer(["the quick brown fox"], 260)
    size = added.get_vocab_size()
    added.add_special_tokens(["<end>"])
    assert vocabulary_size(added) == size + 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (models.BPE({}, []), f"has token ids up to -1, expected 0 to {MAX_VOCABULARY:,} at most"),
        (models.WordLevel({"a": 0, "b": 1 << 21}, unk_token="a"), "has token ids up to 2097152"),
    ],
)
def test_a_vocabulary_of_nothing_or_too_much_is_not_loaded(tmp_path: Path, model: models.Model, message: str) -> None:
    Tokenizer(model).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match=message):
        load_tokenizer(tmp_path)


UNKNOWN = [
    models.WordLevel({"a": 0}, unk_token="<unk>"),
    models.WordPiece({"a": 0}, unk_token="<unk>"),
    models.Unigram([("a", 0.0)], None),
]


@pytest.mark.parametrize("model", UNKNOWN, ids=["WordLevel", "WordPiece", "Unigram"])
def test_a_tokenizer_without_an_unknown_token(model: models.Model) -> None:
    """It reads what it knows; the first document that it does not is named with it."""
    assert encode_batch(words(model), ["a", "a a"]) == [[0], [0, 0]]
    with pytest.raises(InputError, match=r"the tokenizer FOLDER cannot read the document 'b a'\.\.\. \(.*\); give one"):
        encode_batch(words(model), ["a", "b a", "c"], "FOLDER")


def test_the_first_texts_are_checked_as_they_pass() -> None:
    tokenizer = words(models.BPE({"a": 0}, []))
    silent = ["b"] * CHECKED_TEXTS
    assert list(checked([*silent[1:], "a", "b"], tokenizer, "FOLDER")) == [*silent[1:], "a", "b"]
    passing = checked(iter(silent), tokenizer, "FOLDER")
    assert [next(passing) for _ in silent[1:]] == silent[1:]
    with pytest.raises(InputError, match="the tokenizer FOLDER gives no tokens for this text"):
        next(passing)
    late = checked([*["a"] * CHECKED_TEXTS, "c"], words(UNKNOWN[0]), "FOLDER")
    assert len(list(late)) == CHECKED_TEXTS + 1  # is found when all is tokenised
