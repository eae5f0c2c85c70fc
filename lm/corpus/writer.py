"""Writing a corpus: in a temporary folder, renamed at the end, so that an interruption leaves nothing behind."""

import errno
import hashlib
import os
import re
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.errors import InputError
from ..io.files import new_part, sync_folder, write_atomic
from ..io.flat_files import STORED, file_facts
from .corpus import REFERENCE_PARTS, TRAIN, Corpus, Labels, reference_split
from .exchange import end_exchange, locked_corpus
from .manifest import label_file, read_manifest, write_manifest
from .texts import TEXT, TEXT_OFFSETS, Texts
from .token_set import encode
from .tokenizer import end_of_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_CATEGORIES = 65_535


class CorpusWriter:
    """A corpus being written; use it as a context manager: add_split for each split, then encode, and add_labels for
    each label column; add to `counts` what is worth counting. Leaving the block without an error checks the corpus and
    moves it to `path`."""

    def __init__(self, path: Path, reference_tasks: tuple[str, ...], about: dict[str, Any] | None = None):
        self.path = Path(path)
        if self.path.exists():
            raise InputError(f"{self.path} exists; name a new folder, or delete that one first")
        self.counts: Counter[str] = Counter()
        self.bad_rows: list[dict[str, Any]] = []  # of each source that had some: what was left out
        self._manifest: dict[str, Any] = {"reference_tasks": list(reference_tasks)}
        self._manifest |= {"splits": {}, "labels": {}, "about": about or {}}
        self._offsets = array("q", [0])

    def __enter__(self) -> "CorpusWriter":
        self._part = new_part(self.path)
        self._text = open(self._part / TEXT, "wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with _naming_full_disks(self.path.parent):
                self._text.close()
                if error is not None:
                    raise error
                self._finish()
        finally:
            shutil.rmtree(self._part, ignore_errors=True)

    @property
    def num_documents(self) -> int:
        """Documents added so far."""
        return len(self._offsets) - 1

    @property
    def splits(self) -> dict[str, range]:
        """Documents of the splits added so far."""
        return {name: range(*bounds) for name, bounds in self._manifest["splits"].items()}

    def add_split(self, name: str, texts: Iterable[str]) -> None:
        """Add the documents of one split: "train", or "<task>/validation", "<task>/trial" or "<task>/test"."""
        if name in self._manifest["splits"]:
            raise InputError(f"split '{name}' given twice; give all its documents at once")
        start = self.num_documents
        for text in texts:
            self._offsets.append(self._offsets[-1] + self._text.write(text.encode("utf-8", "replace")))
        if self.num_documents == start:
            raise InputError(f"split '{name}' has no documents; give it at least one that is not empty")
        self._manifest["splits"][name] = [start, self.num_documents]

    def texts(self) -> Texts:
        """All documents added so far."""
        self._text.flush()
        return Texts(self._part / TEXT, np.array(self._offsets, np.int64))

    def encode(
        self,
        tokenizer: "Tokenizer",
        progress: Callable[[float], None] | None = None,
        source: Path | None = None,
    ) -> None:
        """Tokenise all documents, and end each with the tokenizer's end of text, if it has one; `progress` is told the
        share that is done. `source`: the folder that the tokenizer was read from, which errors name."""
        end = end_of_text(tokenizer, source)
        train, named = self.splits.get(TRAIN, range(self.num_documents)), str(source or "trained here")
        self._manifest |= encode(self.texts(), train, tokenizer, end, self._part, progress, named)

    def add_labels(self, name: str, labels: Labels) -> None:
        """Add a label column, one label a document in their order."""
        self._manifest["labels"][name] = _checked(name, labels, self.num_documents)
        np.asarray(labels.column).tofile(self._part / label_file(name))

    def _finish(self) -> None:
        """Check that all splits are there, write the manifest, and move the folder to its place."""
        tasks = self._manifest["reference_tasks"]
        expected = {TRAIN} | {reference_split(task, part) for task in tasks for part in REFERENCE_PARTS}
        if set(self._manifest["splits"]) != expected:
            raise InputError(f"splits {sorted(self._manifest['splits'])} given, expected {sorted(expected)}")
        if "tokens" not in self._manifest:
            raise InputError(f"{self.path} has no tokens yet; encode it before closing")
        with open(self._part / TEXT_OFFSETS, "wb") as file:
            self._offsets.tofile(file)
        self._manifest |= {"documents": self.num_documents, "text_bytes": self._offsets[-1]}
        self._manifest["counts"] = {key: int(count) for key, count in self.counts.items() if count}
        if self.bad_rows:
            self._manifest["bad_rows"] = self.bad_rows
        self._manifest["files"] = file_facts(sorted(self._part.iterdir()))
        write_manifest(self._part, self._manifest)
        sync_folder(self._part)
        os.replace(self._part, self.path)


@contextmanager
def labelling(folder: Path) -> Iterator[None]:
    """Inside, no other process labels or builds the corpus in `folder`. InputError: one does, or the folder is no
    corpus, cannot be written, or is on a full disk."""
    end_exchange(folder)
    read_manifest(folder)
    with _naming_full_disks(folder), locked_corpus(folder):
        yield


def check_new_labels(corpus: Corpus, names: Iterable[str]) -> None:
    """InputError: the corpus has a label column of one of these names."""
    if there := sorted(set(names) & corpus.labels.keys()):
        raise InputError(f"{corpus.path} has a label '{there[0]}'; add --overwrite to replace it, or leave it out")


def add_labels(corpus: Corpus, labels: dict[str, Labels], overwrite: bool = False) -> Corpus:
    """Add label columns to a built corpus, all or none of them, and open it anew; call it inside `labelling`.
    overwrite: in place of those that have the same names. A column that is replaced stays on the disk until the next
    ones are added, for processes that are just opening the corpus; so does what a killed process had written."""
    if not overwrite:
        check_new_labels(corpus, labels)
    manifest = read_manifest(corpus.path)
    tables = {name: _checked(name, added, corpus.num_documents) for name, added in labels.items()}
    files: dict[str, dict[str, Any]] = manifest["files"]
    used = {facts.get(STORED, name) for name, facts in files.items()}
    for path in corpus.path.glob(label_file("*")):
        if path.name not in used:
            path.unlink()
    for name, added in labels.items():
        file, data = label_file(name), np.asarray(added.column).tobytes()
        facts: dict[str, Any] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if file in files:  # so that no file ever differs from its hash in the manifest that is there
            facts[STORED] = label_file(f"{name}@{facts['sha256'][:16]}")
        write_atomic(corpus.path / facts.get(STORED, file), data)
        files[file] = facts
    manifest["labels"] |= tables
    write_manifest(corpus.path, manifest)
    return Corpus.open(corpus.path)


@contextmanager
def _naming_full_disks(folder: Path) -> Iterator[None]:
    """Inside, a full disk is an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InputError(f"no space left in {folder}; free some, or name another folder") from error
        if error.errno == errno.EFBIG:
            raise InputError(f"{folder} may not hold such a large file; raise the limit (ulimit -f)") from error
        raise


def check_label_name(name: str) -> None:
    """InputError: a label column or a reference task cannot have this name."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise InputError(f"the name '{name}' is given, expected letters, digits, '-', '_' and '.' only")


def _checked(name: str, labels: Labels, num_documents: int) -> dict[str, Any]:
    """The label table for the manifest. InputError: the column does not fit the corpus or the table."""
    check_label_name(name)
    if len(labels.names) > MAX_CATEGORIES:
        raise InputError(
            f"labels '{name}' have {len(labels.names)} categories, at most {MAX_CATEGORIES}: coarsen them, or give a "
            "number a document as a score, which is cut into bins"
        )
    column = np.asarray(labels.column)
    if column.shape != (num_documents,) or column.dtype != np.uint16:
        raise InputError(f"labels '{name}' are {column.dtype} {column.shape}, expected uint16 ({num_documents},)")
    if column.size and column.max() >= len(labels.names):
        raise InputError(f"labels '{name}' go up to {column.max()}, expected below {len(labels.names)} categories")
    if labels.values is not None and not (len(labels.values) == len(labels.names) and np.isfinite(labels.values).all()):
        raise InputError(f"labels '{name}' need one finite value a category ({len(labels.names)}): {labels.values}")
    values = None if labels.values is None else [float(value) for value in labels.values]
    return {"names": list(labels.names), "values": values}
