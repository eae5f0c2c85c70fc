"""pretraingym quickstart, the main job: a corpus, learning on proxies, targets under six policies, a report."""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from ...env.scenarios.pool import check_reference_weights
from ...env.settings.setting import Setting
from ...lm.ingest.held_out import default_tasks
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...policies.registry import make_policy
from ..analysis.policy_table import PolicyRow, table_json
from ..analysis.target_table import target_table
from ..progress import Progress
from ..runs.preflight import preflight_task
from ..runs.run_corpus import corpus_of_run
from ..runs.run_folder import RunFolder
from ..runs.target_runs import TargetRuns, in_flight_bytes
from .pretrain import quick_target
from .train_console import LearnConfig, train_console

RIVALS = ("natural", "uniform", "paper-rule", "agreement", "lift")  # learning starts from lift
Rows = list[dict[str, Any]]  # of metrics.jsonl
DEFAULT_REFERENCE = {"prose": 0.75, "code": 0.25}
LADDER = (0.5, 2.0, 4.0)  # multiples of the budget of further runs of natural, from which tokens-to-loss is read


@dataclass(frozen=True)
class QuickstartConfig:
    """The main job: learn a console policy on small proxies, and let it drive the pretraining of a model 8 times
    larger, beside the rules it has to beat. About seven minutes on two cores."""

    folder: Path = Path("runs/quickstart")
    """folder of the run: metrics.jsonl, results.json, the policy, the model and report.html"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    proxy: Setting = field(default_factory=Setting)
    target: Setting = field(default_factory=quick_target)
    learn: LearnConfig = field(default_factory=LearnConfig)
    reference: dict[str, float] = field(default_factory=dict)
    """weight of each reference task for the target (default: prose 3 code 1 if the corpus has just these two, else
    equal weights)"""
    seeds: int = 3
    """target runs of each policy, with different seeds"""
    resume: bool = False
    """continue the run in the folder, or show its results if it is finished"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds given, expected at least 1; 3 or more give an interval")


def main(config: QuickstartConfig) -> dict[str, Any]:
    """Run what earlier sessions have not; write results.json and report.html; return the summary."""
    begun = perf_counter()
    with Progress() as progress:
        corpus = corpus_of_run(config.folder, config.corpus, progress)
        check_reference_weights(config.reference, corpus.reference_tasks)
        if not config.reference and set(corpus.reference_tasks) == set(DEFAULT_REFERENCE):
            config = replace(config, reference=DEFAULT_REFERENCE)
        config = _learning_for_the_target(config, corpus.reference_tasks)
        preflight_task(config.proxy, corpus)
        task = preflight_task(config.target, corpus)
        folder = RunFolder(config.folder, config, config.resume, corpus, lambda: in_flight_bytes(config.folder))
        folder.stage("corpus", lambda: None, begun)
        progress.stage("learn on proxies", 240)
        learned = folder.stage("learn", lambda: train_console(folder, [corpus], config.proxy, config.learn, progress))
        finals, rungs, target = _targets(config, TargetRuns(folder, task, config.reference, progress))
    written = config.folder / "results.json"
    if written.exists():
        print(f"pretraingym: the run in {config.folder} was finished earlier", file=sys.stderr)
    else:
        table, cost = target_table(finals, rungs), _learning_cost(config, learned, target["params"])
        results = _results(folder, learned, target, cost, table)
        _note_evaluation(config.folder, table)
        write_atomic(written, json.dumps(results, indent=1).encode())
    if not (config.folder / "report.html").exists():
        from ..reports.report import write_report  # which draws

        write_report(config.folder)
    summary: dict[str, Any] = json.loads(written.read_text())
    return summary


def _learning_for_the_target(config: QuickstartConfig, tasks: tuple[str, ...]) -> QuickstartConfig:
    """The same, with the target's mixture of reference tasks as that of the scenarios to learn on, unless they are
    given."""
    asked = config.learn.distribution
    if asked.mixture or asked.references:
        return config
    asked = replace(asked, mixture=config.reference or dict.fromkeys(default_tasks(tasks), 1.0))
    return replace(config, learn=replace(config.learn, distribution=asked))


def _results(
    folder: RunFolder,
    learned: dict[str, Any],
    target: dict[str, Any],
    learning_cost: float,
    table: dict[str, PolicyRow],
) -> dict[str, Any]:
    """The content of results.json, which is also the last line of output."""
    return {
        "command": " ".join(["pretraingym", *sys.argv[1:]]),
        "target_params": target["params"],
        "proxy_params": learned["proxy_params"],
        "episodes": learned["episodes"],
        "learning_cost_in_target_runs": round(learning_cost, 1),
        "policies": table_json(table),
        "stages_s": {name: round(seconds, 1) for name, seconds in folder.seconds.items()},
        "profile": {"proxy": learned["profile_s"], "target": target["profile_s"]},
        "wall_s": round(sum(folder.seconds.values()), 1),
        "peak_rss_mib": folder.peak_rss_mib,
        "versions": {name: version(name) for name in ("pretraingym", "torch", "transformers", "stable-baselines3")},
    }


def _note_evaluation(folder: Path, table: dict[str, PolicyRow]) -> None:
    """Write the results of the policy and of its rivals on the target into the policy's card."""
    from ...policies.saved.storage import load_policy, save_policy

    policy = load_policy(folder)
    rows = tuple(
        {
            "policy": name,
            "test_loss_mean": row.test_loss_mean,
            "gain_nats": row.gain_nats,
            "speedup": row.speedup.factor if row.speedup else None,
        }
        for name, row in table.items()
    )
    save_policy(folder, replace(policy, card=replace(policy.card, evaluation=rows)))


def _learning_cost(config: QuickstartConfig, learned: dict[str, Any], target_params: int) -> float:
    """Compute of the learning in units of one target run's training, at 6 FLOPs a parameter and token. Controls are
    charged, and probes, evaluations and selection by the time they took. Labels are not, since the rules need them
    too."""
    seconds = learned["profile_s"]
    runs = (learned["episodes"] + learned["controls"]) * sum(seconds.values()) / seconds["train"]
    proxy = learned["proxy_params"] * config.proxy.budget_tokens
    return runs * proxy / (target_params * config.target.budget_tokens)


def _targets(config: QuickstartConfig, runs: TargetRuns) -> tuple[Rows, Rows, dict[str, Any]]:
    """Rows of all target runs at the usual budget, rows of natural's ladder, and the target's size and seconds by
    part."""
    from ...policies.saved.storage import load_policy

    finals: Rows = []
    rungs: Rows = []
    size, profile = 0, Counter[str]()
    for seed in range(config.seeds):
        for policy in [*map(make_policy, RIVALS), load_policy(config.folder)]:
            keep = config.folder / "model" if seed == 0 and policy.name not in RIVALS else None
            run = runs.run(f"target-{seed}-{policy.name}", config.target, policy, seed, model_folder=keep)
            finals.append(run["row"])
            size = run["params"]
            profile.update(run["profile_s"])
    clock = config.target.episode
    for scale in LADDER:  # complete runs, with the learning-rate schedule stretched to match
        steps = round(clock.steps_per_interval * scale)
        longer = replace(config.target, episode=replace(clock, steps_per_interval=steps))
        rungs.append(runs.run(f"natural-{scale:g}", longer, make_policy("natural"), 0, on_ladder=True)["row"])
    return finals, rungs, {"params": size, "profile_s": dict(profile)}
