"""The corpora that need no download: the installed packages' text with the default agents' labels, and made-up text."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ...lm.corpus.corpus import Corpus
from ...lm.corpus.manifest import SCHEMA
from ...lm.ingest.build import Progress, build_corpus
from ...lm.ingest.installed_files import SourceFile, installed_files, listing_hash
from ...lm.ingest.installed_text import TASKS, InstalledText, installed_documents
from ...lm.ingest.synthetic import RECIPE, build_synthetic
from ...lm.ingest.synthetic import TASKS as SYNTHETIC_TASKS
from ...lm.io.errors import InputError
from ..agents.labelling import label_corpus
from ..agents.registry import make_labellers

AGENTS = ("topic", "quality", "match")
BUILD_VERSION = 7  # to be raised whenever a change of the code changes what is built


def default_corpus(vocab_size: int = 512, progress: Progress | None = None, cache: Path | None = None) -> Corpus:
    """The default corpus. It is built on first use (about a minute) and kept in the user's cache folder, or in `cache`,
    under a hash of what is installed and how it is built. progress: is called with (stage, share that is done)."""
    files = installed_files()
    facts = {**_about(files, vocab_size), "schema": SCHEMA}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = (cache or cache_folder()) / key
    return built_once(path, lambda path: build_default(path, vocab_size, progress, files))


def synthetic_corpus(tasks: tuple[str, ...] = SYNTHETIC_TASKS) -> Corpus:
    """The synthetic corpus that has these reference tasks. It is built in a second on first use, and kept in the user's
    cache folder under its tasks and the versions of corpora and of how it is made."""
    path = cache_folder() / f"synthetic-{'-'.join(tasks)}-{SCHEMA}.{RECIPE}"
    return built_once(path, partial(build_synthetic, tasks=tasks))


def built_once(path: Path, build: Callable[[Path], Corpus]) -> Corpus:
    """The corpus at `path`: verified if it is there, else made by `build`."""
    if path.is_dir():
        return Corpus.open(path, verify=True)
    try:
        return build(path)
    except (OSError, InputError):
        if path.is_dir():  # another process built it meanwhile
            return Corpus.open(path)
        raise


def build_default(
    path: Path, vocab_size: int, progress: Progress | None = None, files: Sequence[SourceFile] | None = None
) -> Corpus:
    """Build the default corpus at `path`."""
    files = installed_files() if files is None else files
    read = (lambda share: progress("read", share)) if progress else None
    splits = installed_documents(files, InstalledText(), read)
    annotate = partial(label_corpus, agents=make_labellers(AGENTS, TASKS))
    return build_corpus(path, splits, TASKS, vocab_size, annotate, _about(files, vocab_size), progress)


def _about(files: Sequence[SourceFile], vocab_size: int) -> dict[str, Any]:
    """All that decides what is built. BUILD_VERSION has the key `recipe`, or cached corpora would be built anew."""
    return {
        "source": "installed packages",
        "recipe": BUILD_VERSION,
        "installed": listing_hash(files),
        "vocab_size": vocab_size,
        "config": asdict(InstalledText()),
    }


def cache_folder() -> Path:
    """Where built corpora are kept: $XDG_CACHE_HOME/pretraingym, by default ~/.cache/pretraingym."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pretraingym"
