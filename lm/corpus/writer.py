"""Writing a corpus: in a temporary folder, renamed at the end, so that an interruption leaves nothing behind."""

import errno
import os
import re
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..io.errors import InputError
from ..io.files import remove_dead_parts, sync_folder, write_atomic
from ..io.flat_files import file_facts
from .corpus import TRAIN, Corpus, Labels, reference_split
from .manifest import read_manifest, write_manifest
from .texts import Texts
from .token_set import encode

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
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_parts(self.path)
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir()
        self._text = open(self._part / "text.bin", "wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._text.close()
            if error is not None:
                raise error
            self._finish()
        except OSError as problem:
            if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise InputError(f"no space left to write {self.path}; free some, or name another folder") from problem
            raise
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
        """Add the documents of one split: "train", "<task>/validation" or "<task>/test"."""
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
        return Texts(self._part / "text.bin", np.array(self._offsets, np.int64))

    def encode(self, tokenizer: "Tokenizer", progress: Callable[[float], None] | None = None, source: str = "") -> None:
        """Tokenise all documents; `progress` is told the share that is done; errors name the tokenizer's `source`."""
        self._manifest |= encode(self.texts(), tokenizer, self._part, progress, source)

    def add_labels(self, name: str, labels: Labels) -> None:
        """Add a label column, one label a document in their order."""
        self._manifest["labels"][name] = _checked(name, labels, self.num_documents)
        np.asarray(labels.column).tofile(self._part / f"labels-{name}.bin")

    def _finish(self) -> None:
        """Check that all splits are there, write the manifest, and move the folder to its place."""
        tasks = self._manifest["reference_tasks"]
        expected = {TRAIN} | {reference_split(task, half) for task in tasks for half in ("validation", "test")}
        if set(self._manifest["splits"]) != expected:
            raise InputError(f"splits {sorted(self._manifest['splits'])} given, expected {sorted(expected)}")
        if "tokens" not in self._manifest:
            raise InputError(f"{self.path} has no tokens yet; encode it before closing")
        with open(self._part / "text_offsets.bin", "wb") as file:
            self._offsets.tofile(file)
        self._manifest |= {"documents": self.num_documents, "text_bytes": self._offsets[-1]}
        self._manifest["counts"] = {key: int(count) for key, count in self.counts.items() if count}
        if self.bad_rows:
            self._manifest["bad_rows"] = self.bad_rows
        self._manifest["files"] = file_facts(sorted(self._part.iterdir()))
        write_manifest(self._part, self._manifest)
        sync_folder(self._part)
        os.replace(self._part, self.path)


def add_labels(corpus: Corpus, labels: dict[str, Labels]) -> Corpus:
    """Add label columns to a built corpus, in place of any that have the same names, and open it anew. If the process
    is killed meanwhile, the corpus is as it was, or lacks the columns that were to be replaced."""
    manifest = read_manifest(corpus.path)
    tables = {name: _checked(name, added, corpus.num_documents) for name, added in labels.items()}
    # First the columns to be replaced leave the manifest, so that no file ever differs from its hash there.
    if replaced := tables.keys() & manifest["labels"].keys():
        for name in replaced:
            del manifest["labels"][name], manifest["files"][f"labels-{name}.bin"]
        write_manifest(corpus.path, manifest)
    for name, added in labels.items():
        file = corpus.path / f"labels-{name}.bin"
        write_atomic(file, np.asarray(added.column).tobytes())
        manifest["files"] |= file_facts([file])
    manifest["labels"] |= tables
    write_manifest(corpus.path, manifest)
    return Corpus.open(corpus.path)


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
