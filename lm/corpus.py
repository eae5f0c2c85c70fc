"""A corpus on disk: tokenised, labelled documents in flat files that are read where they lie. Needs numpy alone.

A corpus is a folder. `text.bin` and `text_offsets.npy` hold the documents' UTF-8 bytes, `tokens.bin` and
`token_offsets.npy` their tokens, `labels-<name>.npy` one label a document, `tokenizer.json` the tokenizer, and
`manifest.json` the counts, the splits, the label tables and the SHA-256 of every other file. Documents lie split by
split.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .files import sha256_file
from .texts import Texts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SCHEMA = 1
TRAIN = "train"
DAMAGE = (ValueError, TypeError, OSError, EOFError, OverflowError, SyntaxError, TokenError)  # of a bad npy header


@dataclass(frozen=True)
class Labels:
    """One label column. names: the categories'; values: a static priority of each (any unit), or None;
    column: (D,) uint16 below len(names)."""

    names: tuple[str, ...]
    values: tuple[float, ...] | None
    column: NDArray[np.uint16]


def reference_split(task: str, half: str) -> str:
    """The name of the split that holds `half` ("validation" or "test") of a reference task."""
    return f"{task}/{half}"


def fingerprint(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content, which holds the hash of every file: one name for all of a corpus's bytes."""
    content = {key: value for key, value in manifest.items() if key != "fingerprint"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class Corpus:
    """An opened corpus of D documents and T tokens. Its arrays are memory-mapped and read-only.

    tokens: (T,) uint16 or uint32; token_offsets: (D + 1,) int64; byte_lengths: (D,) int64, UTF-8 bytes;
    splits: contiguous ranges of documents; labels: label columns by name; about: how it was built.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self._manifest = path, manifest
        self.fingerprint: str = manifest["fingerprint"]
        self.num_documents: int = manifest["documents"]
        self.vocab_size: int = manifest["vocab_size"]
        self.reference_tasks: tuple[str, ...] = tuple(manifest["reference_tasks"])
        self.splits: dict[str, range] = {name: range(*bounds) for name, bounds in manifest["splits"].items()}
        self.about: dict[str, Any] = manifest["about"]
        self.tokens: NDArray[Any] = self._flat("tokens.bin", manifest["token_dtype"], manifest["tokens"])
        self.token_offsets: NDArray[np.int64] = self._offsets("token_offsets.npy", manifest["tokens"])
        self.texts = Texts(
            self._flat("text.bin", "uint8", manifest["text_bytes"]),
            self._offsets("text_offsets.npy", manifest["text_bytes"]),
        )
        self.labels: dict[str, Labels] = {
            name: Labels(
                tuple(table["names"]),
                None if table["values"] is None else tuple(table["values"]),
                self._array(f"labels-{name}.npy", np.uint16, self.num_documents),
            )
            for name, table in manifest["labels"].items()
        }

    @classmethod
    def open(cls, path: Path, verify: bool = False) -> "Corpus":
        """Open the corpus in folder `path` in time that does not grow with it; `verify` also hashes all its bytes."""
        path = Path(path)
        manifest = _read_manifest(path)
        for name, facts in manifest["files"].items():
            _check_file(path / name, facts, verify)
        return cls(path, manifest)

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """(D,) UTF-8 bytes of each document."""
        return np.diff(self.texts.offsets)

    def text(self, document: int) -> str:
        """The text of one document."""
        return self.texts[document]

    def tokenizer(self) -> "Tokenizer":
        """The tokenizer that made the tokens."""
        from tokenizers import Tokenizer  # here, so that reading tokens needs numpy alone

        return Tokenizer.from_file(str(self.path / "tokenizer.json"))

    def _flat(self, name: str, dtype: str, count: int) -> NDArray[Any]:
        path = self.path / name
        expected = count * np.dtype(dtype).itemsize
        if path.stat().st_size != expected:
            raise InputError(f"{path} has {path.stat().st_size} bytes, its manifest counts {expected}; {REBUILD}")
        if count == 0:  # an empty file cannot be mapped
            return np.zeros(0, dtype)
        return np.memmap(path, dtype, "r", shape=(count,)).view(np.ndarray)

    def _array(self, name: str, dtype: type, count: int) -> NDArray[Any]:
        path = self.path / name
        try:
            array = np.load(path, mmap_mode="r").view(np.ndarray)
        except DAMAGE as error:
            raise InputError(f"{path} is no readable npy file ({error}); {REBUILD}") from None
        if array.shape != (count,) or array.dtype != dtype:
            raise InputError(
                f"{path} holds {array.dtype} {array.shape}, expected {np.dtype(dtype)} ({count},); {REBUILD}"
            )
        return array

    def _offsets(self, name: str, end: int) -> NDArray[np.int64]:
        offsets = self._array(name, np.int64, self.num_documents + 1)
        if offsets[0] != 0 or offsets[-1] != end:
            raise InputError(
                f"{self.path / name} runs from {offsets[0]} to {offsets[-1]}, expected 0 to {end}; {REBUILD}"
            )
        return offsets


REBUILD = "delete the corpus folder and build it again"


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the corpus in `path`, whole and of this schema, or an InputError that says why not."""
    file = path / "manifest.json"
    if not file.is_file():
        raise InputError(f"{path} is no corpus: it has no manifest.json; name a folder that `corpus build` wrote")
    try:
        manifest = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}); {REBUILD}") from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{file} has schema {schema}, this version reads {SCHEMA}; {REBUILD}")
    if manifest.get("fingerprint") != fingerprint(manifest):
        raise InputError(f"{file} does not match its own fingerprint; {REBUILD}")
    return manifest


def _check_file(path: Path, facts: dict[str, Any], verify: bool) -> None:
    """Refuse a file that is missing, of another size, or (if `verify`) of another hash than its manifest says."""
    if not path.is_file():
        raise InputError(f"{path} is missing; {REBUILD}")
    size = path.stat().st_size
    if size != facts["bytes"]:
        raise InputError(f"{path} has {size} bytes, its manifest says {facts['bytes']}; {REBUILD}")
    if verify and sha256_file(path) != facts["sha256"]:
        raise InputError(f"{path} is corrupted: its SHA-256 is not its manifest's; {REBUILD}")
