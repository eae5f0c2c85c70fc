"""The corpus of a run: the one it began with, the user's, or the default one."""

import json
from pathlib import Path
from typing import TypeVar

from ...env.recording.config_record import CorpusUsed
from ...env.settings.default_corpus import default_corpus
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json
from ..progress import Progress

T = TypeVar("T")
RECORD = "corpus.json"
CORPUS_S = 90  # that the stage may take, if the default corpus has to be built (assumed)


def corpus_of_run(
    folder: Path, given: Path | None, progress: Progress, verify: bool = True, may_change: bool = False
) -> Corpus:
    """The corpus of the run in `folder`, opened as the stage "corpus". A run that has begun keeps its corpus, so that
    packages installed since then change nothing. Another one gets `given`, or else the default corpus, which is built
    on first use. `verify`: check the hashes of all files; `may_change`: the run can go on with a corpus that was built
    anew with other documents."""
    progress.stage("corpus", None if given else CORPUS_S)
    record = folder / RECORD
    if not record.exists():
        return Corpus.open(given, verify) if given else _default(progress)
    begun = read_checked(record, CorpusUsed)
    path = given if given and may_change else Path(begun.path)
    corpus = Corpus.open(path, verify) if given or path.is_dir() else _default(progress)
    if corpus.fingerprint != begun.fingerprint and not may_change:
        raise InputError(f"{corpus.path} is not the corpus that the run in {folder} began with; name another --folder")
    return corpus


def read_checked(path: Path, kind: type[T]) -> T:
    """The value of that type in a JSON file of a run folder; results in it may be NaN. InputError: it is damaged."""
    try:
        return from_json(kind, json.loads(path.read_text()), str(path))
    except (ValueError, RecursionError, InputError) as error:
        raise InputError(f"{path} is damaged ({error}): restore it, or name another --folder") from None


def _default(progress: Progress) -> Corpus:
    return default_corpus(progress=lambda stage, share: progress.update(share, 1.0, part=stage))
