"""Results of trials, kept in the user's cache folder under a hash of all that decides them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from ...env.settings.default_corpus import cache_folder
from ...lm.io.errors import InputError
from ...lm.io.files import READ_ONLY, write_atomic
from ...lm.io.typed_json import from_json, to_json
from ..named import learned_in
from ..saved.storage import policy_hash
from .trial import Trial, TrialResult

VERSION = 1  # to be raised whenever a change of the code changes what a trial comes to, or what is kept


def key(trial: Trial) -> str:
    """A hash of the corpus, the policy, the scenario, the limits, the setting and the versions of the code."""
    learned = learned_in(trial.policy)
    facts = {
        "version": [VERSION, version("pretraingym")],
        "corpus": trial.task.corpus.fingerprint,
        "policy": [trial.policy.name, trial.policy.describe(), policy_hash(learned) if learned else None],
        "scenario": trial.scenario.as_json(),
        "limits": list(map(str, trial.limits)),
        "setting": to_json(trial.setting),
        "runs": [trial.config.seeds, trial.config.windows, trial.config.seed],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def kept(trial: Trial) -> TrialResult | None:
    """The result of an earlier run of this trial; None if there is none, or it is damaged."""
    path = _path(trial)
    try:
        return replace(from_json(TrialResult, json.loads(path.read_bytes()), str(path)), policy=trial.name)
    except (OSError, ValueError, RecursionError, InputError):
        return None


def result_of(trial: Trial, progress: Callable[[int, int], None] = lambda done, total: None) -> TrialResult:
    """The result of an earlier run of this trial, or else of one now, which is kept where the folder can be written."""
    if (found := kept(trial)) is not None:
        return found
    result, path = trial.run(progress), _path(trial)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(to_json(result)).encode())
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    return result


def _path(trial: Trial) -> Path:
    return cache_folder() / "trials" / f"{key(trial)}.json"
