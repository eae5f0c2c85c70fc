"""How much a gain differs from document to document of a reference task, which says how many documents a task needs.

    python -m pretraingym.experiments.benchmarks.document_noise --corpus runs/tasks

Two proxies train side by side from the same weights and random numbers, one under natural, one under the lift rule, for
each reference task and seed. Then both read every window of the task's validation and test documents. The difference of
their losses on a window is the sum of the task's gain, of what all windows of its document share, and of the window's
own. Last line: one JSON object, with the standard deviations of both in nats per token (`document_sd`, `window_sd`), by
task and as root mean squares over tasks and seeds.
"""

import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.corpus.corpus import reference_split
from ...lm.ingest.held_out import default_tasks
from ...policies.baselines.fixed import Natural
from ...policies.registry import make_policy
from ...policies.trials.side_by_side import run_side_by_side

PARTS = ("validation", "test")


@dataclass(frozen=True)
class NoiseConfig:
    """What is run."""

    corpus: str | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    references: tuple[str, ...] = ()
    """reference tasks (default: all)"""
    policy: str = "lift"
    """what is set beside natural"""
    seeds: int = 1
    """pairs of runs of each reference task"""
    pool_budgets: float = 50.0
    """tokens of the pool over tokens of the budget"""
    setting: Setting = field(default_factory=Setting)


def measure(config: NoiseConfig) -> dict[str, Any]:
    """Deviations of the gain between documents, and between windows of a document, of each task and of all."""
    task, begun = config.setting.open_task(config.corpus), perf_counter()
    by_task: dict[str, dict[str, float]] = {}
    for reference in config.references or default_tasks(task.reference_tasks):
        found = [_deviations(config, task, reference, seed) for seed in range(config.seeds)]
        by_task[reference] = {name: _mean(name, [figures[name] for figures in found]) for name in found[0]}
        print(reference, {name: round(value, 3) for name, value in by_task[reference].items()})
    every = {name: _mean(name, [row[name] for row in by_task.values()]) for name in ("document_sd", "window_sd")}
    return {**every, "context": task.context, "seconds": perf_counter() - begun, "tasks": by_task}


def _mean(name: str, values: list[float]) -> float:
    """The mean; of deviations the root mean square."""
    return float(np.sqrt(np.mean(np.square(values)))) if name.endswith("_sd") else float(np.mean(values))


def _deviations(config: NoiseConfig, task: Task, reference: str, seed: int) -> dict[str, float]:
    scenario = Scenario(((reference, 1.0),), config.pool_budgets)
    policies = [Natural(), make_policy(config.policy)]
    backend = run_side_by_side(config.setting, task, policies, scenario, [seed]).episode.backend
    splits = [task.corpus.splits[reference_split(reference, part)] for part in PARTS]
    ids = np.concatenate([task.windows.ids(split) for split in splits])
    losses = backend.evaluate(np.stack([ids, ids]), averaged=False)
    gain = losses[0] - losses[1]
    document = np.unique(task.windows.document(ids), return_inverse=True)[1]
    between, within = components(gain, document)
    return {
        "gain_nats": float(gain.mean()),
        "document_sd": between,
        "window_sd": within,
        "documents": float(document.max() + 1),
        "windows": float(len(ids)),
    }


def components(values: NDArray[np.float64], group: NDArray[np.intp]) -> tuple[float, float]:
    """(standard deviation between groups, within groups) of values (W,) that belong to groups numbered from 0, by the
    analysis of variance for groups of unequal size. Where every group has one value, all is between them."""
    size = np.bincount(group).astype(np.float64)
    mean = np.bincount(group, values) / size
    free = len(values) - len(size)
    within = float(np.square(values - mean[group]).sum() / free) if free else 0.0
    between = float((size * np.square(mean - values.mean())).sum() / (len(size) - 1))
    typical = (len(values) - np.square(size).sum() / len(values)) / (len(size) - 1)
    return max(0.0, (between - within) / typical) ** 0.5, within**0.5


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(NoiseConfig))))
