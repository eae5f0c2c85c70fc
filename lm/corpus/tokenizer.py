"""Tokenizers: trained on a corpus's own text, or read from a folder."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..io.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NUM_BYTES, MAX_VOCABULARY = 256, 1 << 20
END_OF_TEXT = "<|endoftext|>"  # of tokenizers that are trained here
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")  # files of transformers that name special tokens
CHECKED_TEXTS = 100


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
    return _for_text(tokenizer)


def _for_text(tokenizer: "Tokenizer") -> "Tokenizer":
    """The tokenizer, to which the letters of a special token in a text are letters: tokenizer.json does not keep
    that."""
    tokenizer.encode_special_tokens = True
    return tokenizer


def tokenizer_of_json(data: bytes) -> "Tokenizer":
    """The tokenizer that a corpus keeps."""
    from tokenizers import Tokenizer  # here, so that reading tokens needs only numpy

    return _for_text(Tokenizer.from_str(data.decode()))


def load_tokenizer(folder: Path) -> "Tokenizer":
    """The tokenizer.json in `folder`, or that file itself, without the truncation and padding that may be saved in
    it; the letters of a special token in a text are letters to it. InputError: no such file, or one that cannot be
    read."""
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
    if not 0 < (size := vocabulary_size(tokenizer)) <= MAX_VOCABULARY:
        raise InputError(f"{file} has token ids up to {size - 1}, expected 0 to {MAX_VOCABULARY:,} at most")
    return _for_text(tokenizer)


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


def vocabulary_size(tokenizer: "Tokenizer") -> int:
    """Rows that a model's embedding needs: the largest token id + 1. It is more than the number of tokens where ids
    have gaps."""
    return max(tokenizer.get_vocab().values(), default=-1) + 1


def encode_batch(tokenizer: "Tokenizer", texts: list[str], source: str = "") -> list[list[int]]:
    """The token ids of texts, without special tokens. InputError: one cannot be read; it names the tokenizer's
    `source`."""
    try:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    except Exception:  # tokenizers raises no narrower one
        for text in texts:
            try:
                tokenizer.encode(text, add_special_tokens=False)
            except Exception as error:  # noqa: BLE001
                raise InputError(
                    f"the tokenizer {source} cannot read the document {text[:40]!r}... ({error}); give one that has an "
                    "unknown token, or is of bytes"
                ) from None
        raise


def checked(texts: Iterable[str], tokenizer: "Tokenizer", source: str) -> Iterator[str]:
    """`texts`, of which the first CHECKED_TEXTS are tokenised as they pass, so that a tokenizer that is of no use is
    found before all is read. InputError: one cannot be read, or they give no tokens."""
    num_tokens = 0
    for number, text in enumerate(texts, 1):
        if number <= CHECKED_TEXTS:
            num_tokens += len(encode_batch(tokenizer, [text], source)[0])
            if number == CHECKED_TEXTS and not num_tokens:
                raise no_tokens(source)
        yield text


def no_tokens(source: str) -> InputError:
    """The error for a tokenizer that makes nothing of the text."""
    return InputError(f"the tokenizer {source} gives no tokens for this text; give one that was made for its language")
