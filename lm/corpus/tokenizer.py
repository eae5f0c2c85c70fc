"""Tokenizers: trained on a corpus's own text, or read from a folder."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_BYTES, MAX_VOCABULARY = 256, 1 << 20
END_OF_TEXT = "<|endoftext|>"  # of tokenizers that are trained here
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")  # files of transformers that name special tokens


def check_vocab_size(vocab_size: int) -> None:
    """InputError: fewer tokens than there are bytes and the end of text, or more than MAX_VOCABULARY."""
    if not NUM_BYTES < vocab_size <= MAX_VOCABULARY:
        raise InputError(
            f"vocab_size {vocab_size} given, expected {NUM_BYTES + 1}, one token a byte and one that ends a text, to "
            f"{MAX_VOCABULARY:,}"
        )


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """A byte-level BPE tokenizer with one special token, END_OF_TEXT, which is token 0. It encodes any text, and
    decoding gives the text back: where a text has the letters of the special token, they are letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    check_vocab_size(vocab_size)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=alphabet, special_tokens=[END_OF_TEXT], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.encode_special_tokens = True  # as letters
    return tokenizer


def load_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer.json in `folder`, or that file itself, without the truncation and padding that may be saved in
    it. InputError: no such file, or one that cannot be read."""
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json" if folder.is_dir() else folder
    if not file.is_file():
        raise InputError(f"no tokenizer.json in {folder}; give the folder of a transformers tokenizer")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - tokenizers raises no narrower exception
        raise InputError(f"{file} is no tokenizer ({error}); save it again with tokenizers") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def end_of_text(tokenizer: "Tokenizer", folder: Path | None = None) -> int | None:
    """The token that ends a text: the one that the files of transformers beside the tokenizer call eos_token, without
    such files END_OF_TEXT; None where the tokenizer has none. InputError: a file that cannot be read."""
    named: object = END_OF_TEXT
    beside = [] if folder is None else [(folder if folder.is_dir() else folder.parent) / name for name in SETTINGS]
    for file in beside:
        if not file.is_file():
            continue
        try:
            named = json.loads(file.read_bytes()).get("eos_token")
            named = named["content"] if isinstance(named, dict) else named
        except (ValueError, AttributeError, KeyError) as error:
            raise InputError(f"{file} is damaged ({error!r}); save the tokenizer again with transformers") from None
        if named is not None:
            break
    token: int | None = tokenizer.token_to_id(named) if isinstance(named, str) else None
    return token
