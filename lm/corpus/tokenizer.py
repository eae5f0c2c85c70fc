"""Tokenizers: trained on a corpus's own text, or read from a folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_BYTES, MAX_VOCABULARY = 256, 1 << 20


def check_vocab_size(vocab_size: int) -> None:
    """InputError: fewer tokens than there are bytes, or more than MAX_VOCABULARY."""
    if not NUM_BYTES <= vocab_size <= MAX_VOCABULARY:
        raise InputError(
            f"vocab_size {vocab_size} given, expected {NUM_BYTES}, one token a byte, to {MAX_VOCABULARY:,}"
        )


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """A byte-level BPE tokenizer without special tokens: it encodes any text, and decoding gives the text back."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    check_vocab_size(vocab_size)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
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
