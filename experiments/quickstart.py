"""pretraingym quickstart: the main job: corpus, learning on proxies, targets under five policies, report."""

import json
import resource
import sys
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from ..env.setting import Setting
from ..env.task import Task
from ..lm.errors import InputError
from ..lm.files import write_atomic
from ..policies.registry import make_policy
from .pretrain import check_reference, quick_target, whole_corpus
from .progress import Progress
from .report import write_report
from .run_corpus import run_corpus
from .run_folder import RunFolder
from .statistics import compare
from .target import TargetRun, save_model
from .train_console import LearnConfig, train_console

RIVALS = ("natural", "uniform", "paper-rule", "agreement")
LADDER = (0.5, 2.0, 4.0)  # budgets of natural, beside 1, on which tokens-to-loss is read; one seed each


@dataclass(frozen=True)
class QuickstartConfig:
    """The main job: learn a console on small proxies and let it drive the pretraining of a model 8 times larger, beside
    the rules it has to beat. Ten minutes on two cores."""

    folder: Path = Path("runs/quickstart")
    """where the run goes: metrics.jsonl, results.json, policy, model, report.html"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    proxy: Setting = field(default_factory=Setting)
    target: Setting = field(default_factory=quick_target)
    learn: LearnConfig = field(default_factory=LearnConfig)
    reference: dict[str, float] = field(default_factory=lambda: {"prose": 0.75, "code": 0.25})
    """weight of each reference task for the target"""
    seeds: int = 3
    """target runs of each policy"""
    resume: bool = False
    """go on with the run in the folder, or show it if it is finished"""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds given, expected at least 1; 3 or more give an interval")


def main(config: QuickstartConfig) -> dict[str, Any]:
    """Run what is not yet done; write results.json and report.html; return the summary."""
    begun = perf_counter()
    with Progress() as progress:
        progress.stage("corpus", 90)
        corpus = run_corpus(config.folder, config.corpus, progress)
        check_reference(config.reference, corpus.reference_tasks)
        Task(corpus, config.proxy.context, config.proxy.agents)  # refuses bad agents before anything is written
        task = Task(corpus, config.target.context, config.target.agents)
        folder = RunFolder(config.folder, config, config.resume, corpus)
        folder.stage("corpus", lambda: None, begun)
        progress.stage("learn on proxies", 240)
        learned = folder.stage("learn", lambda: train_console(folder, corpus, config.proxy, config.learn, progress))
        finals, rungs, target = _targets(config, folder, task, progress)
    results = {
        "command": " ".join(["pretraingym", *sys.argv[1:]]),
        "target_params": target["params"],
        "proxy_params": learned["proxy_params"],
        "episodes": learned["episodes"],
        "learning_cost_in_target_runs": round(_learning_cost(config, learned, target["params"]), 1),
        "policies": compare(finals, rungs),
        "stages_s": {name: round(seconds, 1) for name, seconds in folder.seconds.items()},
        "profile": {"proxy": learned["profile_s"], "target": target["profile_s"]},
        "wall_s": round(sum(folder.seconds.values()), 1),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {name: version(name) for name in ("pretraingym", "torch", "transformers", "stable-baselines3")},
    }
    write_atomic(config.folder / "results.json", json.dumps(results, indent=1).encode())
    write_report(config.folder)
    return results


def _learning_cost(config: QuickstartConfig, learned: dict[str, Any], target_params: int) -> float:
    """Compute of the learning over that of one target run's training, at 6 FLOPs a parameter and token. Controls are
    charged, and probes, evaluations and selection by the time they took; labels are not, the rules need them too."""
    seconds = learned["profile_s"]
    runs = (learned["episodes"] + learned["controls"]) * sum(seconds.values()) / seconds["train"]
    proxy = learned["proxy_params"] * config.proxy.budget_tokens
    return runs * proxy / (target_params * config.target.budget_tokens)


def _targets(
    config: QuickstartConfig, folder: RunFolder, task: Task, progress: Progress
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Rows of all complete target runs, those of natural's ladder, and the target's size and profile."""
    finals: list[dict[str, Any]] = []
    for seed in range(config.seeds):
        progress.stage(f"targets, seed {seed}", 40)
        work = lambda seed=seed: _side_by_side(config, folder, task, seed, progress)  # noqa: E731
        target = folder.stage(f"target-{seed}", work)
        finals += target["finals"]
    rungs = []
    for scale in LADDER:
        progress.stage(f"natural with {scale:g} times the tokens", 10 * scale)
        work = lambda scale=scale: _natural(config, folder, task, scale, progress)  # noqa: E731
        rungs.append(folder.stage(f"natural-{scale:g}", work))
    return finals, rungs, target


def _side_by_side(
    config: QuickstartConfig, folder: RunFolder, task: Task, seed: int, progress: Progress
) -> dict[str, Any]:
    policies = [make_policy(name) for name in RIVALS] + [make_policy(str(config.folder))]
    scenario = whole_corpus(config.target, task, config.reference)
    run = TargetRun(task, config.target, policies, scenario, seed)
    losses, learner, seconds = run.run(folder, f"target-{seed}", progress)
    about = {"stage": "target-final", "seed": seed, "tokens": config.target.budget_tokens}
    about["task_weights"] = dict(scenario.reference)
    rows = [
        {**about, "policy": policy.name, "test_loss_nats": loss} for policy, loss in zip(policies, losses, strict=True)
    ]
    folder.log(rows)
    if seed == 0:
        save_model(learner, len(policies) - 1, task, config.folder / "model")
    return {"finals": rows, "params": learner.num_params, "profile_s": seconds}


def _natural(
    config: QuickstartConfig, folder: RunFolder, task: Task, scale: float, progress: Progress
) -> dict[str, Any]:
    """A complete run of natural with `scale` times the tokens, its learning rate stretched to match."""
    clock = config.target.episode
    steps = round(clock.steps_per_interval * scale)
    longer = replace(config.target, episode=replace(clock, steps_per_interval=steps))
    scenario = whole_corpus(longer, task, config.reference)
    run = TargetRun(task, longer, [make_policy("natural")], scenario, 0)
    losses, _, _ = run.run(folder, f"natural-{scale:g}", progress, log_curves=False)
    row = {"stage": "natural-ladder", "seed": 0, "tokens": longer.budget_tokens, "test_loss_nats": losses[0]}
    row["task_weights"] = dict(scenario.reference)
    folder.log([row])
    return row
