"""Writing a corpus: in a folder beside its place, moved there whole at the end; an interruption leaves nothing."""

import errno
import json
import os
import re
import shutil
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .corpus import SCHEMA, TRAIN, Labels, fingerprint, reference_split
from .errors import InputError
from .files import sha256_file
from .texts import Texts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DAY_S = 86_400


class CorpusWriter:
    """A corpus in the making; use it as a context manager: add_split for each split, then encode, and add_labels for
    each label column. Leaving the block without an error checks the whole and puts it at `path`."""

    def __init__(self, path: Path, reference_tasks: tuple[str, ...], about: dict[str, Any] | None = None):
        self.path = Path(path)
        if self.path.exists():
            raise InputError(f"{self.path} exists; name a new folder, or delete that one first")
        self._manifest: dict[str, Any] = {"schema": SCHEMA, "reference_tasks": list(reference_tasks)}
        self._manifest |= {"splits": {}, "labels": {}, "about": about or {}}
        self._offsets = array("q", [0])

    def __enter__(self) -> "CorpusWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for left in self.path.parent.glob(f".{self.path.name}.*.part"):  # of a build that was killed
            if time.time() - left.stat().st_mtime > DAY_S:
                shutil.rmtree(left, ignore_errors=True)
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
            raise InputError(f"split '{name}' has no documents; give it at least one")
        self._manifest["splits"][name] = [start, self.num_documents]

    def texts(self) -> Texts:
        """All documents added so far."""
        self._text.flush()
        data = np.memmap(self._part / "text.bin", np.uint8, "r") if self._offsets[-1] else np.zeros(0, np.uint8)
        return Texts(data.view(np.ndarray), np.array(self._offsets, np.int64))

    def encode(self, tokenizer: "Tokenizer", progress: Callable[[float], None] | None = None) -> None:
        """Tokenise all documents; `progress` hears the share that is done."""
        texts, offsets = self.texts(), array("q", [0])
        vocabulary = tokenizer.get_vocab_size()
        dtype = "uint16" if vocabulary <= 1 << 16 else "uint32"
        with open(self._part / "tokens.bin", "wb") as file:
            for start in range(0, len(texts), 512):
                for encoding in tokenizer.encode_batch_fast(texts[start : start + 512], add_special_tokens=False):
                    ids = np.array(encoding.ids, dtype)
                    offsets.append(offsets[-1] + len(ids))
                    file.write(ids.tobytes())
                if progress:
                    progress(min(start + 512, len(texts)) / len(texts))
        np.save(self._part / "token_offsets.npy", np.array(offsets, np.int64))
        (self._part / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
        self._manifest |= {"vocab_size": vocabulary, "token_dtype": dtype, "tokens": offsets[-1]}

    def add_labels(self, name: str, labels: Labels) -> None:
        """Add a label column over all documents, in their order."""
        if not re.fullmatch(r"[\w.-]+", name):
            raise InputError(f"label name '{name}' given, expected letters, digits, '-', '_' and '.' alone")
        column = np.asarray(labels.column)
        if column.shape != (self.num_documents,) or column.dtype != np.uint16:
            raise InputError(
                f"labels '{name}' are {column.dtype} {column.shape}, expected uint16 ({self.num_documents},)"
            )
        if column.size and column.max() >= len(labels.names):
            raise InputError(f"labels '{name}' go up to {column.max()}, expected below {len(labels.names)} categories")
        if labels.values is not None and not (
            len(labels.values) == len(labels.names) and np.isfinite(labels.values).all()
        ):
            raise InputError(f"labels '{name}' need one finite value a category ({len(labels.names)}): {labels.values}")
        np.save(self._part / f"labels-{name}.npy", column)
        values = None if labels.values is None else [float(value) for value in labels.values]
        self._manifest["labels"][name] = {"names": list(labels.names), "values": values}

    def _finish(self) -> None:
        """Check that all splits are there, write the manifest, and move the folder to its place."""
        tasks = self._manifest["reference_tasks"]
        expected = {TRAIN} | {reference_split(task, half) for task in tasks for half in ("validation", "test")}
        if set(self._manifest["splits"]) != expected:
            raise InputError(f"splits {sorted(self._manifest['splits'])} given, expected {sorted(expected)}")
        if "tokens" not in self._manifest:
            raise InputError(f"{self.path} has no tokens yet; encode it before closing")
        np.save(self._part / "text_offsets.npy", np.array(self._offsets, np.int64))
        files = sorted(self._part.iterdir())
        self._manifest |= {"documents": self.num_documents, "text_bytes": self._offsets[-1]}
        self._manifest["files"] = {f.name: {"bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in files}
        self._manifest["fingerprint"] = fingerprint(self._manifest)
        manifest = self._part / "manifest.json"
        manifest.write_text(json.dumps(self._manifest, indent=1, sort_keys=True), encoding="utf-8")
        for file in [*files, manifest]:
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
        os.replace(self._part, self.path)
