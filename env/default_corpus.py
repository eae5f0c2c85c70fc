"""The corpus that needs no download: the text of the installed packages, labelled for the default agents."""

import hashlib
import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ..lm.build import Progress, build_corpus
from ..lm.corpus import Corpus
from ..lm.errors import InputError
from ..lm.installed import installed_files, listing_hash
from ..lm.sources import TASKS, InstalledText, installed_documents
from .agents.registry import make_labellers
from .labelling import label_corpus

AGENTS = ("topic", "quality", "match")
RECIPE = 3  # raise it whenever a change to the sources or labellers changes what is built


def default_corpus(vocab_size: int = 512, progress: Progress | None = None, cache: Path | None = None) -> Corpus:
    """The default corpus; built on first use (about a minute) and kept in the user's cache folder, or in `cache`, under
    a hash of what is installed and how it is built. `progress` hears (stage, share done)."""
    files, config = installed_files(), InstalledText()
    about = {
        "source": "installed packages",
        "recipe": RECIPE,
        "installed": listing_hash(files),
        "vocab_size": vocab_size,
    }
    about["config"] = asdict(config)
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = (cache or cache_folder()) / key
    if path.is_dir():
        return Corpus.open(path, verify=True)
    read = (lambda share: progress("read", share)) if progress else None
    splits = installed_documents(files, config, read)
    annotate = partial(label_corpus, agents=make_labellers(AGENTS, TASKS))
    try:
        return build_corpus(path, splits, TASKS, vocab_size, annotate, about, progress)
    except (OSError, InputError):
        if path.is_dir():  # another process built it meanwhile
            return Corpus.open(path)
        raise


def cache_folder() -> Path:
    """Where built corpora are kept: $XDG_CACHE_HOME/pretraingym, by default ~/.cache/pretraingym."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pretraingym"
