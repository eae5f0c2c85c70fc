"""Verdicts of trials against the truth: how often a trial says harm where a policy harms, and gain where it gains.

    python -m pretraingym.experiments.benchmarks.trial_verdicts --corpus FOLDER --folder runs/verdicts --policies lift

On every scenario each policy is tried as `pretraingym pretrain` tries it, with few pairs of runs on the trial part of
the reference tasks; the truth is more pairs, with other seeds, on their test part, so it is known only as well as its
own interval says. Trials and truths are runs of the same proxies on exactly the scenario: whether a larger target does
as its proxies do, `pretraingym transfer` measures. Every scenario and policy is a stage of the folder, and the same
command with --resume goes on. About 20 seconds a scenario and policy on two idle cores. Prints the tables; last line:
one JSON object with the counts and, of all verdicts, `harm_found` (the share of true harm that trials call harm),
`gain_found`, `false_harm` (the share of the trials' harm that is true gain), `false_gain`, and `held` (how often a
trial's interval holds the truth's mean, whose own noise lowers it).
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.io.typed_json import to_json
from ...policies.base import Policy
from ...policies.named import check_names, learned_hashes, make_policies, members_of
from ...policies.trials.trial import LEAST_PAIRS, Trial, TrialConfig, pairs_in
from ...policies.trials.window_gains import mean_gain
from ..progress import Progress
from ..runs.preflight import check_policies, check_seed, task_of_run
from ..runs.run_folder import RunFolder

VERDICTS = ("harm", "none", "unclear", "gain")


@dataclass(frozen=True)
class VerdictsConfig:
    """Which policies are tried on which scenarios."""

    folder: Path = Path("runs/trial-verdicts")
    """where the stages go"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    policies: tuple[str, ...] = ("lift",)
    """policies to try, as compare takes them"""
    scenarios: int = 24
    """of the split"""
    trial: TrialConfig = field(default_factory=lambda: TrialConfig(seeds=4))
    truth_seeds: int = 8
    """pairs of runs that the truth is over"""
    distribution: ScenarioDistribution = field(default_factory=lambda: ScenarioDistribution(split="development"))
    seed: int = 0
    """of the scenarios"""
    resume: bool = False
    """go on with the runs in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_names(self.policies)
        if self.scenarios < 1 or self.truth_seeds < LEAST_PAIRS:
            raise InputError(
                f"{self.scenarios} scenarios and {self.truth_seeds} truth seeds given, expected at least 1 and "
                f"{LEAST_PAIRS}"
            )

    @property
    def setting(self) -> Setting:
        """Of the proxies."""
        return self.trial.proxy


def measure(config: VerdictsConfig) -> dict[str, Any]:
    """Run what the folder does not have yet; print the tables and return their figures."""
    check_policies(members_of(config.policies), config.folder, config.corpus)
    with Progress() as progress:
        task = task_of_run(config, progress)
        policies = make_policies(config.policies, task.agent_names)
        folder = RunFolder(config.folder, config, config.resume, task.corpus, learned=learned_hashes(policies))
        progress.stage("trials and truths", None)
        rows = list(_rows(config, folder, task, policies, progress))
    seconds = sum(folder.seconds.values()) / len(rows)
    folder.close()
    by_policy = {name: figures([row for row in rows if row["policy"] == name]) for name in policies}
    for name, found in {**by_policy, "all": figures(rows)}.items():
        _print(name, found["counts"])
    return figures(rows) | {"policies": by_policy, "seconds_per_trial_and_truth": round(seconds, 1)}


def _rows(
    config: VerdictsConfig, folder: RunFolder, task: Task, policies: dict[str, Policy], progress: Progress
) -> Iterator[dict[str, Any]]:
    """What `trial_and_truth` gives of each scenario and policy."""
    total = config.scenarios * len(policies)
    for number in range(config.scenarios):
        scenario, _ = config.distribution.numbered(task, config.seed, number)
        for place, (name, policy) in enumerate(policies.items(), 1):
            trial = Trial(name, policy, config.trial, config.setting, task, scenario)
            work = partial(trial_and_truth, trial, config.truth_seeds)
            about = {"policy": name, "number": number, "scenario": scenario.as_json()}
            yield about | folder.stage(f"{name}-{number}", work)
            progress.update(number * len(policies) + place, total)


def trial_and_truth(trial: Trial, truth_seeds: int) -> dict[str, Any]:
    """A trial's result and the true gain on the test part, from other seeds, as JSON has them."""
    result = trial.run()
    finished = trial.finished(trial.seeds(truth_seeds, after=trial.config.seeds))
    pairs = pairs_in(finished)
    if len(pairs) < LEAST_PAIRS:
        raise InputError("natural diverged in all but one of a truth's runs: lower the learning rates")
    truth = mean_gain(trial.measured(finished, pairs, "test"))
    return {
        "trial": to_json(result),
        "truth": to_json(truth),
        "verdicts": [truth.verdict, result.gain.verdict],
    }


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the module says, of rows of `trial_and_truth`; a share of nothing is None."""
    counts = Counter(tuple(row["verdicts"]) for row in rows)  # (truth, trial)
    true, said = (Counter(row["verdicts"][place] for row in rows) for place in (0, 1))
    held = [_holds(row["trial"]["gain"]["ci95"], row["truth"]["nats"]) for row in rows]
    return {
        "counts": {truth: {trial: counts[truth, trial] for trial in VERDICTS} for truth in VERDICTS},
        "harm_found": _share(counts["harm", "harm"], true["harm"]),
        "gain_found": _share(counts["gain", "gain"], true["gain"]),
        "false_harm": _share(counts["gain", "harm"], said["harm"]),
        "false_gain": _share(counts["harm", "gain"], said["gain"]),
        "held": _share(sum(held), len(held)),
    }


def _holds(ends: list[float] | None, nats: float) -> bool:
    return ends is None or ends[0] <= nats <= ends[1]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _print(name: str, counts: dict[str, dict[str, int]]) -> None:
    table = Table("truth", *(f"trial says {verdict}" for verdict in VERDICTS), title=name)
    for truth, row in counts.items():
        table.add_row(truth, *map(str, row.values()))
    Console(stderr=True).print(table)


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(VerdictsConfig, description=__doc__))))
