"""Results of trials, kept in the user's cache folder under a hash of all that decides them."""

import hashlib
import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...env.settings.default_corpus import cache_folder
from ...lm.io.errors import InputError
from ...lm.io.files import READ_ONLY, write_atomic
from ...lm.io.typed_json import from_json, to_json
from ..base import Policy
from ..baselines.constant import Constant
from ..baselines.fixed import SingleAgent
from ..baselines.frozen import Frozen
from ..baselines.sure import Sure
from ..registry import POLICIES
from ..saved.learned import LearnedPolicy
from .trial import Trial, TrialResult

RULES = (*POLICIES.values(), Constant, SingleAgent)  # what they were made with decides all that they do
VERSION = 2  # to be raised whenever a change of the code changes what a trial comes to, or what is kept


def key(trial: Trial) -> str | None:
    """A hash of the corpus, the policy, the scenario, the limits, the setting and the versions of the code. None: the
    policy is of a class of others, of which nobody knows what decides on its weights, so its results are not kept."""
    if (policy := _exactly(trial.policy)) is None:
        return None
    facts = {
        "version": [VERSION, version("pretraingym")],
        "corpus": trial.task.corpus.fingerprint,
        "policy": policy,
        "scenario": trial.scenario.as_json(),
        "limits": list(map(str, trial.limits)),
        "setting": to_json(trial.setting),
        "runs": [trial.config.seeds, trial.config.windows, trial.config.seed],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def kept(trial: Trial) -> TrialResult | None:
    """The result of an earlier run of this trial; None if there is none, or it is damaged."""
    if (path := _path(trial)) is None:
        return None
    try:
        return replace(from_json(TrialResult, json.loads(path.read_bytes()), str(path)), policy=trial.name)
    except (OSError, ValueError, RecursionError, InputError):
        return None


def result_of(trial: Trial, progress: Callable[[int, int], None] = lambda done, total: None) -> TrialResult:
    """The result of an earlier run of this trial, or else of one now, which is kept where the folder can be written
    and the policy is one of ours."""
    if (found := kept(trial)) is not None:
        return found
    result, path = trial.run(progress), _path(trial)
    if path is None:
        return result
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(to_json(result)).encode())
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    return result


def folder() -> Path:
    """Where results are kept."""
    return cache_folder() / "trials"


def _path(trial: Trial) -> Path | None:
    hashed = key(trial)
    return None if hashed is None else folder() / f"{hashed}.json"


def _exactly(policy: Policy) -> list[Any] | None:
    """All that decides on what a policy of ours does, as JSON has it; None of any other."""
    kind = type(policy)
    if isinstance(policy, Frozen) and kind is Frozen:
        inner = _exactly(policy.inner)
        return None if inner is None else ["frozen", policy.decisions, inner]
    if isinstance(policy, Sure) and kind is Sure:
        inner = _exactly(policy.inner)
        return None if inner is None else ["sure", inner]
    if isinstance(policy, LearnedPolicy) and kind is LearnedPolicy:
        from ..saved.storage import ARCHITECTURES, policy_hash

        actor = policy.actor
        if (type(actor.config), type(actor)) not in ARCHITECTURES.values():
            return None
        return [actor.architecture, to_json(actor.config), to_json(actor.action_map), policy_hash(policy)]
    if kind not in RULES:
        return None
    return [kind.__name__, {name: repr(getattr(policy, name)) for name in inspect.signature(kind).parameters}]
