"""What is known of a target's gain over natural: by a trial before it, and by natural beside it."""

import shlex
import sys
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ...env.scenarios.task import Task
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError
from ...lm.io.typed_json import from_json, to_json
from ...policies.trials.store import folder as trials_folder
from ...policies.trials.store import kept, result_of
from ...policies.trials.trial import Trial, TrialConfig, TrialResult
from ...policies.trials.verdict import refusal, told
from ...policies.trials.window_gains import MeanGain, mean_gain, strata
from ..analysis.charges import trial_flops
from ..analysis.harm import HARM_NATS
from ..progress import Progress, duration
from .pretraining import TEST_WINDOWS
from .run_corpus import read_checked
from .run_folder import RunFolder, Stage

TRIAL_STAGE = "trial"
BESIDE = "natural"  # folder, in a run's folder, of the same target under natural
VOCABULARY, REFERENCE_TASKS = 512, 4  # (assumed) of a trial if no corpus is named
FLOPS_PER_S = 6e10  # of a trial on two idle cores (measured)
LONG_S = 600.0  # a trial that takes longer than this says so before it begins, and what can be done


def try_policy(trial: Trial, anyway: bool, progress: Progress) -> TrialResult:
    """The outcome of the trial, which is told. InputError: the policy loses to natural, unless `anyway`."""
    seconds = trial_seconds(trial.config, trial.task.corpus)
    if seconds > LONG_S and kept(trial) is None:
        progress.say(
            f"the trial on proxies takes about {duration(seconds)} on two cores (a vocabulary of "
            f"{trial.task.corpus.vocab_size:,} tokens): give fewer pairs of runs (--trial.seeds) or none (--no-trial), "
            f"or begin this run on another machine first, for its outcome is kept in {trials_folder()}"
        )
    progress.stage("trial on proxies", seconds)
    result = result_of(trial, progress.update)
    if (why := refusal(result)) is None:
        progress.say(told(result))
    elif anyway:
        warnings.warn(f"{told(result)}; it drives all the same", stacklevel=2)
    else:
        raise InputError(why)
    return result


def trial_in(folder: RunFolder, result: TrialResult | None) -> TrialResult | None:
    """The outcome that the run's folder holds; else `result`, which it holds from now on. None: there is none."""
    if TRIAL_STAGE not in folder.stages and result is None:
        return None
    value = folder.stage(TRIAL_STAGE, lambda: to_json(result))
    return from_json(TrialResult, value, f"{folder.path}: the trial")


def trial_facts(result: TrialResult, config: TrialConfig, target_flops: float) -> dict[str, Any]:
    """What a run's result holds of its trial. target_flops: of the target's training."""
    flops = trial_flops(config.proxy, result.pairs, config.windows, result.params, result.num_tasks)
    return {
        **gain_facts(result.gain),
        "validation_gain_nats": result.validation_gain.nats,
        "fit_to_validation_nats": result.fit.nats,
        "pairs": result.pairs,
        "documents": result.documents,
        "pool_budgets": list(result.pool_budgets),
        "seconds": round(result.seconds, 1),
        "flops": flops,
        "flops_over_the_targets": round(flops / target_flops, 5),
        "told": told(result),
    }


def trial_plan(config: TrialConfig, corpus: Corpus | None) -> dict[str, Any]:
    """What a trial would cost."""
    flops, seconds = _planned_flops(config, corpus), round(trial_seconds(config, corpus))
    return {"runs": 2 * config.seeds, "flops": flops, "seconds_on_two_cores": seconds}


def trial_seconds(config: TrialConfig, corpus: Corpus | None) -> float:
    """About how long a trial takes on two cores."""
    return _planned_flops(config, corpus) / FLOPS_PER_S


def _planned_flops(config: TrialConfig, corpus: Corpus | None) -> float:
    vocabulary = VOCABULARY if corpus is None else corpus.vocab_size
    tasks = REFERENCE_TASKS if corpus is None else len(corpus.reference_tasks)
    params = config.proxy.num_params(vocabulary)
    return trial_flops(config.proxy, config.seeds, config.windows, params, tasks)


def unknown_gain() -> str:
    """That the true gain is unknown, and the command that tells."""
    words = [*sys.argv[1:], *(["--beside", "natural"] if "--beside" not in sys.argv else [])]
    words += ["--resume"] if "--resume" not in sys.argv else []
    command = shlex.join(["pretraingym", *words])
    return f"the true gain is unknown, since natural did not run beside this; `{command}` runs it and tells"


def finished_beside(folder: Path, stage: str) -> dict[str, Any]:
    """The result of natural's run in `folder`, which is finished; empty if there is none."""
    stages = folder / "stages.json"
    found = read_checked(stages, dict[str, Stage]) if stages.exists() else {}
    return dict(found[stage].result) if stage in found else {}


def gain_beside(task: Task, weights: dict[str, float], own: dict[str, Any], natural: dict[str, Any]) -> MeanGain:
    """The gain of a run over natural's of the same seed, on the windows of the test part that both were measured on, by
    the scenario's weights. The interval is over documents: one pair of runs tells nothing of the noise between seeds.
    InputError: they had other corpora."""
    if own["corpus"] != natural["corpus"] or own["corpus"] != task.corpus.fingerprint:
        raise InputError(
            "the run and natural beside it were of different corpora, expected the same: run both anew in another "
            "--folder"
        )
    weights_T = np.array([weights.get(name, 0.0) for name in task.reference_tasks])
    gain_W = np.array(natural["loss_nats"]) - np.array(own["loss_nats"])
    return mean_gain(strata(task, weights_T, task.test_sample(TEST_WINDOWS), gain_W[None]))


def known_gain(gain: MeanGain) -> str:
    """The true gain, in words."""
    meaning = {
        "gain": "the policy helped this run",
        "harm": "the policy harmed this run",
        "unclear": "whether the policy helped is not known",
        "none": "the policy selected nothing, and this run is natural's, number for number",
    }[gain.verdict]
    return (
        f"the true gain over the same target under natural, on the test part, is {gain} over documents (one seed: "
        f"the noise between seeds is not in it): {meaning}"
    )


def harm_elsewhere(asked: Collection[str], own: dict[str, float], natural: dict[str, float]) -> str:
    """The reference tasks that the run was not asked to serve and that ended worse than natural's, in words.

    "" if there are none. own, natural: test losses by task."""
    worse = {name: own[name] - natural[name] for name in own if name not in asked}
    told = [f"{name} by {nats:.3f} nats" for name, nats in worse.items() if nats > HARM_NATS]
    return f"reference tasks that it was not run for ended worse than natural's: {', '.join(told)}" if told else ""


def gain_facts(gain: MeanGain) -> dict[str, Any]:
    """A gain as JSON has it."""
    return {"gain_nats": gain.nats, "gain_ci95": gain.ci95 and list(gain.ci95), "verdict": gain.verdict}
