"""Training a tokenizer on a corpus's own text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_BYTES = 256


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """A byte-level BPE tokenizer without special tokens: it encodes any text, and decoding gives the text back."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    if vocab_size < NUM_BYTES:
        raise InputError(f"vocab_size {vocab_size} given, expected at least {NUM_BYTES}, one token a byte")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
