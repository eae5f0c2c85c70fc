"""A corpus on disk: tokenised, labelled documents in flat, memory-mapped files. Reading it needs only numpy.

A corpus is a folder. `text.bin` and `text_offsets.bin` hold the documents' UTF-8 bytes, `tokens.bin` and
`token_offsets.bin` their tokens, `labels-<name>.bin` one label a document, `tokenizer.json` and
`tokenizer_config.json` the tokenizer, and `manifest.json` the counts, the splits, the label tables and the SHA-256 of
every other file. Documents are in the order of their splits. Folders `tokens-<hash>` hold the tokens of other
tokenizers.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..io.errors import InputError
from ..io.flat_files import STORED, check_files, map_flat, map_offsets
from .exchange import end_exchange
from .manifest import NAME, label_file, read_manifest
from .texts import TEXT, TEXT_OFFSETS, Texts
from .token_set import TOKENIZER, TokenSet, other_tokens
from .tokenizer import tokenizer_of_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokenizers import Tokenizer

TRAIN = "train"
# The parts of a reference task: one steers the draw and is what agents are fitted to; on another a trial is scored
# before a run; the last is for reports alone.
REFERENCE_PARTS = ("validation", "trial", "test")
PRACTICE_WORDS = "practice_words"  # in `about`: the words of each practice reference task
RETRIES, PAUSE_S = 4, 0.05  # an exchange takes two renames


@dataclass(frozen=True)
class Labels:
    """One label column. names: the categories'; values: a static priority of each (any unit), or None;
    column: (D,) uint16 below len(names)."""

    names: tuple[str, ...]
    values: tuple[float, ...] | None
    column: NDArray[np.uint16]


def reference_split(task: str, part: str) -> str:
    """The name of the split that holds one of the REFERENCE_PARTS of a reference task."""
    return f"{task}/{part}"


class Corpus:
    """An opened corpus of D documents. Its arrays are memory-mapped and read-only.

    tokens: (all tokens,) uint16 or uint32; end_of_text: the token that ends every document, None if the tokenizer has
    none; token_offsets: (D + 1,) int64; texts: the documents' text; splits:
    contiguous ranges of documents; labels: label columns by name; about: how it was built; counts: what was counted
    while it was built; bad_rows: rows that were left out, by source; fingerprint: of all its bytes, and of the tokens
    if they are another tokenizer's.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], verify: bool = False):
        self.path, self._verify = path, verify
        files = manifest["files"]
        self._text_hash: str = files[TEXT]["sha256"]
        self.fingerprint: str = manifest["fingerprint"]
        self.num_documents: int = manifest["documents"]
        self.reference_tasks: tuple[str, ...] = tuple(manifest["reference_tasks"])
        self.splits: dict[str, range] = {name: range(*bounds) for name, bounds in manifest["splits"].items()}
        self.about: dict[str, Any] = manifest["about"]
        self.counts: dict[str, int] = manifest["counts"]
        self.bad_rows: list[dict[str, Any]] = manifest.get("bad_rows", [])
        self.texts = Texts(
            path / TEXT,
            map_offsets(path / TEXT_OFFSETS, self.num_documents, manifest["text_bytes"]),
        )
        self.labels: dict[str, Labels] = {
            name: Labels(
                tuple(table["names"]),
                None if table["values"] is None else tuple(table["values"]),
                map_flat(path / files[file].get(STORED, file), "uint16", self.num_documents),
            )
            for name, table in manifest["labels"].items()
            for file in [label_file(name)]
        }
        self._use(TokenSet.open(path, manifest, self.num_documents))

    @classmethod
    def open(cls, path: Path, verify: bool = False) -> "Corpus":
        """Open the corpus in folder `path`, in a time that does not depend on its size; `verify` also hashes all its
        bytes, and later those of another tokenizer's tokens. It stays readable when it is rebuilt or labelled anew
        meanwhile. InputError: it is no corpus, or damaged. What fails, or fits no more, because it is being exchanged
        for a new one is tried again."""
        path = Path(path)
        for _ in range(RETRIES):
            before = _manifest_now(path)
            try:
                corpus = cls._open(path, verify)
            except (InputError, OSError, ValueError):  # numpy raises the last for a file that is too short
                if before is not None and _manifest_now(path) == before:
                    raise
            else:
                if _manifest_now(path) == before:
                    return corpus
            time.sleep(PAUSE_S)
        return cls._open(path, verify)

    @classmethod
    def _open(cls, path: Path, verify: bool) -> "Corpus":
        end_exchange(path)
        manifest = read_manifest(path)
        check_files(path, manifest["files"], verify)
        return cls(path, manifest, verify)

    @property
    def practice(self) -> dict[str, str]:
        """What each practice reference task is about, in a few words: clusters of the corpus's own text, on which
        policies are learned."""
        return dict(self.about.get(PRACTICE_WORDS, {}))

    def with_tokenizer(self, folder: Path, progress: "Callable[[float], None] | None" = None) -> "Corpus":
        """This corpus in the tokens of the tokenizer.json in `folder`. On first use the corpus is tokenised anew."""
        other = _open_same(self.path, self._text_hash)
        tokens, name = other_tokens(self.path, self.texts, self.splits[TRAIN], folder, progress, self._verify)
        other._use(tokens)
        other.fingerprint = hashlib.sha256(f"{self.fingerprint} {name}".encode()).hexdigest()
        return other

    def with_own_tokens(self) -> "Corpus":
        """This corpus in the tokens that it was built with."""
        return self if self._token_folder == self.path else _open_same(self.path, self._text_hash)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its path, and opened again from there; its arrays may be larger than memory."""
        return _reopened, (self.path, self._token_folder, self._text_hash)

    def _use(self, tokens: TokenSet) -> None:
        self._token_folder, self.vocab_size, self.end_of_text = tokens.folder, tokens.vocab_size, tokens.end_of_text
        self.tokens, self.token_offsets = tokens.tokens, tokens.offsets
        self._tokenizer_json = np.memmap(tokens.folder / TOKENIZER, np.uint8, "r")  # this one, whatever comes there

    def text(self, document: int) -> str:
        """The text of one document."""
        return self.texts[document]

    def tokenizer(self) -> "Tokenizer":
        """The tokenizer that made the tokens."""
        return tokenizer_of_json(bytes(self._tokenizer_json))

    @property
    def tokenizer_hash(self) -> str:
        """Hexadecimal SHA-256 of the tokenizer.json that made the tokens."""
        return hashlib.sha256(bytes(self._tokenizer_json)).hexdigest()

    def tokens_per_byte(self, split: str) -> float:
        """Tokens over UTF-8 bytes of a split's text, by which nats per token become nats per byte."""
        documents = self.splits[split]
        tokens = self.token_offsets[documents.stop] - self.token_offsets[documents.start]
        return float(tokens / (self.texts.offsets[documents.stop] - self.texts.offsets[documents.start]))


def _manifest_now(path: Path) -> bytes | None:
    """The bytes of the manifest, if there is one at this instant."""
    try:
        return (path / NAME).read_bytes()
    except OSError:
        return None


def _reopened(path: Path, token_folder: Path, text_hash: str) -> Corpus:
    corpus = _open_same(path, text_hash)
    return corpus if token_folder == path else corpus.with_tokenizer(token_folder)


def _open_same(path: Path, text_hash: str) -> Corpus:
    """InputError: the corpus there has another text by now."""
    corpus = Corpus.open(path)
    if corpus._text_hash != text_hash:
        raise InputError(f"{path} was built anew while this process read it; start the process again")
    return corpus
