"""The corpus of a run: the one it began with, the user's, or the default one."""

import json
from pathlib import Path
from typing import Any

from ...env.settings.default_corpus import default_corpus
from ...lm.corpus.corpus import Corpus
from ...lm.io import json_schema as schema
from ...lm.io.errors import InputError
from ..progress import Progress

RECORD = "corpus.json"
CORPUS_S = 90  # that the stage may take, if the default corpus has to be built (assumed)


def corpus_of_run(folder: Path, given: Path | None, progress: Progress, verify: bool = True) -> Corpus:
    """The corpus of the run in `folder`, opened as the stage "corpus". A run that has begun keeps its corpus, so that
    packages installed since then change nothing. Another one gets `given`, or else the default corpus, which is built
    on first use. `verify`: check the hashes of all files."""
    progress.stage("corpus", CORPUS_S)
    record = folder / RECORD
    if not record.exists():
        return Corpus.open(given, verify) if given else _default(progress)
    begun = read_checked(record, schema.record({"path": schema.text, "fingerprint": schema.text}))
    path = Path(begun["path"])
    corpus = Corpus.open(path, verify) if given or path.is_dir() else _default(progress)
    if corpus.fingerprint != begun["fingerprint"]:
        raise InputError(f"{corpus.path} is not the corpus that the run in {folder} began with; name another --folder")
    return corpus


def read_checked(path: Path, check: schema.Check) -> Any:
    """The value in a JSON file of a run folder. InputError: `check` refuses it, or it is no JSON."""
    try:
        value = json.loads(path.read_text())
        check(value, str(path))
    except (ValueError, RecursionError, InputError) as error:
        raise InputError(f"{path} is damaged ({error}): restore it, or name another --folder") from None
    return value


def _default(progress: Progress) -> Corpus:
    return default_corpus(progress=lambda stage, share: progress.update(share, 1.0, doing=stage))
