"""pretraingym quickstart: the main job: corpus, learning on proxies, targets under five policies, report."""

import json
import sys
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from ..env.pool import check_reference, whole_corpus
from ..env.setting import Setting
from ..env.task import Task
from ..lm.errors import InputError
from ..lm.files import write_atomic
from ..policies.registry import make_policy
from ..policies.storage import load_policy, save_policy
from .preflight import preflight
from .pretrain import quick_target
from .progress import Progress
from .report import write_report
from .run_corpus import run_corpus
from .run_folder import RunFolder
from .statistics import compare
from .target import TargetRun, bits_per_byte, save_model
from .train_console import LearnConfig, train_console

RIVALS = ("natural", "uniform", "paper-rule", "agreement", "lift")  # learning starts from lift
Rows = list[dict[str, Any]]  # of metrics.jsonl
DEFAULT_REFERENCE = {"prose": 0.75, "code": 0.25}
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
    reference: dict[str, float] = field(default_factory=dict)
    """weight of each reference task for the target (default: prose 3 code 1, where the corpus has these two, else all
    the same)"""
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
        if not config.reference and set(corpus.reference_tasks) == set(DEFAULT_REFERENCE):
            config = replace(config, reference=DEFAULT_REFERENCE)
        preflight(config.proxy, corpus)
        task = preflight(config.target, corpus)
        folder = RunFolder(config.folder, config, config.resume, corpus)
        folder.stage("corpus", lambda: None, begun)
        progress.stage("learn on proxies", 240)
        learned = folder.stage("learn", lambda: train_console(folder, corpus, config.proxy, config.learn, progress))
        finals, rungs, target = _targets(config, folder, task, progress)
    written = config.folder / "results.json"
    if written.exists():
        print(f"pretraingym: the run in {config.folder} was finished earlier", file=sys.stderr)
    else:
        results = _results(folder, learned, target, _learning_cost(config, learned, target["params"]), finals, rungs)
        _note_evaluation(config.folder, results["policies"])
        write_atomic(written, json.dumps(results, indent=1).encode())
    if not (config.folder / "report.html").exists():
        write_report(config.folder)
    summary: dict[str, Any] = json.loads(written.read_text())
    return summary


def _results(
    folder: RunFolder, learned: dict[str, Any], target: dict[str, Any], learning_cost: float, finals: Rows, rungs: Rows
) -> dict[str, Any]:
    """What results.json holds and the last line of output says."""
    return {
        "command": " ".join(["pretraingym", *sys.argv[1:]]),
        "target_params": target["params"],
        "proxy_params": learned["proxy_params"],
        "episodes": learned["episodes"],
        "learning_cost_in_target_runs": round(learning_cost, 1),
        "policies": compare(finals, rungs),
        "stages_s": {name: round(seconds, 1) for name, seconds in folder.seconds.items()},
        "profile": {"proxy": learned["profile_s"], "target": target["profile_s"]},
        "wall_s": round(sum(folder.seconds.values()), 1),
        "peak_rss_mib": folder.peak_rss_mib,
        "versions": {name: version(name) for name in ("pretraingym", "torch", "transformers", "stable-baselines3")},
    }


def _note_evaluation(folder: Path, table: dict[str, dict[str, Any]]) -> None:
    """Put what the policy did to the target, beside its rivals, on the policy's card."""
    policy = load_policy(folder)
    shown = ("test_loss_mean", "gain_nats_vs_natural", "speedup_vs_natural")
    rows = tuple({"policy": name, **{key: row[key] for key in shown}} for name, row in table.items())
    save_policy(folder, replace(policy, card=replace(policy.card, evaluation=rows)))


def _learning_cost(config: QuickstartConfig, learned: dict[str, Any], target_params: int) -> float:
    """Compute of the learning over that of one target run's training, at 6 FLOPs a parameter and token. Controls are
    charged, and probes, evaluations and selection by the time they took; labels are not, the rules need them too."""
    seconds = learned["profile_s"]
    runs = (learned["episodes"] + learned["controls"]) * sum(seconds.values()) / seconds["train"]
    proxy = learned["proxy_params"] * config.proxy.budget_tokens
    return runs * proxy / (target_params * config.target.budget_tokens)


def _targets(
    config: QuickstartConfig, folder: RunFolder, task: Task, progress: Progress
) -> tuple[Rows, Rows, dict[str, Any]]:
    """Rows of all complete target runs, those of natural's ladder, and the target's size and profile."""
    finals: Rows = []
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
    policies = [*map(make_policy, RIVALS), load_policy(config.folder)]
    scenario = whole_corpus(task, config.target.budget_tokens, config.reference)
    run = TargetRun(task, config.target, policies, scenario, seed)
    losses, learner, seconds = run.run(folder, f"target-{seed}", progress)
    about = {"stage": "target-final", "seed": seed, "tokens": config.target.budget_tokens}
    about["task_weights"] = dict(scenario.reference)
    rows = [
        {**about, "policy": policy.name, "test_loss_nats": loss, "test_bits_per_byte": bits_per_byte(task, loss)}
        for policy, loss in zip(policies, losses, strict=True)
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
    scenario = whole_corpus(task, longer.budget_tokens, config.reference)
    run = TargetRun(task, longer, [make_policy("natural")], scenario, 0)
    losses, _, _ = run.run(folder, f"natural-{scale:g}", progress, log_curves=False)
    row = {"stage": "natural-ladder", "seed": 0, "tokens": longer.budget_tokens, "test_loss_nats": losses[0]}
    row["task_weights"] = dict(scenario.reference)
    folder.log([row])
    return row
