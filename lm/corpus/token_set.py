"""A corpus's documents as one tokenizer's tokens; one corpus can have several such sets."""

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..io.errors import InputError
from ..io.files import READ_ONLY, sync_folder
from ..io.flat_files import check_files, file_facts, map_flat, map_offsets
from .manifest import read_manifest, write_manifest
from .texts import Texts
from .tokenizer import SETTINGS, encode_batch, end_of_text, load_tokenizer, no_tokens, vocabulary_size

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS, OFFSETS, TOKENIZER = "tokens.bin", "token_offsets.bin", "tokenizer.json"
OTHER = "tokens-"  # how folders of other tokenizers' tokens begin; 16 hexadecimal digits follow
BATCH_BYTES = 4_000_000  # of text that the tokenizer gets at a time: many documents for each core, yet little memory


@dataclass(frozen=True)
class TokenSet:
    """tokens: (all tokens,) uint16 or uint32; offsets: (D + 1,) int64, where each document begins in them;
    end_of_text: the token that ends every document, if the tokenizer has one."""

    folder: Path
    vocab_size: int
    end_of_text: int | None
    tokens: NDArray[Any]
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, facts: dict[str, Any], num_documents: int) -> "TokenSet":
        """The set in `folder`; facts: what `encode` returned."""
        return cls(
            folder,
            facts["vocab_size"],
            facts["end_of_text"],
            map_flat(folder / TOKENS, facts["token_dtype"], facts["tokens"]),
            map_offsets(folder / OFFSETS, num_documents, facts["tokens"]),
        )


def encode(
    texts: Texts,
    train: range,
    tokenizer: "Tokenizer",
    end: int | None,
    folder: Path,
    progress: Callable[[float], None] | None = None,
    source: str = "",
) -> dict[str, Any]:
    """Tokenise all documents on all cores into `folder`, each ended by the token `end` (None: by nothing), and return
    the facts about it for a manifest. source: where the tokenizer is from, for errors. InputError: it cannot read a
    document, or gives no tokens for those of `train` but what ends them."""
    offsets = array("q", [0])
    vocabulary = vocabulary_size(tokenizer)
    dtype = "uint16" if vocabulary <= 1 << 16 else "uint32"
    with open(folder / TOKENS, "wb") as file:
        for batch in batches(texts, BATCH_BYTES):
            for document in encode_batch(tokenizer, texts[batch.start : batch.stop], source):
                ids = np.array(document if end is None else [*document, end], dtype)
                offsets.append(offsets[-1] + len(ids))
                file.write(ids.tobytes())
            if progress:
                progress(batch.stop / len(texts))
    if offsets[train.stop] - offsets[train.start] == (0 if end is None else len(train)):
        raise no_tokens(source)
    with open(folder / OFFSETS, "wb") as file:
        offsets.tofile(file)
    (folder / TOKENIZER).write_text(tokenizer.to_str(), encoding="utf-8")
    # So that transformers reads the folder as a tokenizer's, and `end_of_text` finds the same token again.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings |= {} if end is None else {"eos_token": tokenizer.id_to_token(end)}
    (folder / SETTINGS[0]).write_text(json.dumps(settings), encoding="utf-8")
    return {"vocab_size": vocabulary, "token_dtype": dtype, "tokens": offsets[-1], "end_of_text": end}


def batches(texts: Texts, batch_bytes: int) -> Iterator[range]:
    """Ranges of consecutive documents of about `batch_bytes` together, at least one document each."""
    start = 0
    while start < len(texts):
        full = int(np.searchsorted(texts.offsets, texts.offsets[start] + batch_bytes, side="right")) - 1
        stop = min(max(full, start + 1), len(texts))
        yield range(start, stop)
        start = stop


def other_tokens(
    corpus_folder: Path,
    texts: Texts,
    train: range,
    tokenizer_folder: Path,
    progress: Callable[[float], None] | None = None,
    verify: bool = False,
) -> tuple[TokenSet, str]:
    """The tokens of another tokenizer than the corpus's own, and their fingerprint. They are made on first use and kept
    in a folder of the corpus; `verify` hashes them. InputError: no tokenizer there, damaged tokens, or the corpus's
    folder cannot be written."""
    tokenizer = load_tokenizer(tokenizer_folder)
    end = end_of_text(tokenizer, tokenizer_folder)
    folder = corpus_folder / f"{OTHER}{hashlib.sha256(f'{tokenizer.to_str()} {end}'.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
        try:
            part.mkdir()
            facts = encode(texts, train, tokenizer, end, part, progress, str(tokenizer_folder))
            facts["files"] = file_facts(sorted(part.iterdir()))
            write_manifest(part, facts)
            sync_folder(part)
            if not folder.is_dir():  # another process may have been faster
                part.rename(folder)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            raise InputError(
                f"{corpus_folder} cannot be written, and keeps its tokens there; copy the corpus"
            ) from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    manifest = read_manifest(folder)
    check_files(folder, manifest["files"], verify)
    return TokenSet.open(folder, manifest, len(texts)), manifest["fingerprint"]


def check_tokens(corpus_folder: Path) -> None:
    """Hash the tokens that other tokenizers made of a corpus. InputError: some are damaged."""
    for folder in sorted(corpus_folder.glob(f"{OTHER}*")):
        check_files(folder, read_manifest(folder)["files"], verify=True)
