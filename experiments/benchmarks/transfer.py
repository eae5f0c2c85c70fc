"""Do proxies rank consoles as the target does? Rank correlation of final gains under constant consoles.

    python -m pretraingym.experiments.benchmarks.transfer

Runs the same constant consoles (each agent at two strengths, and uniform) on proxy and target for each reference task,
one seed, and prints both gains over natural. Last line: one JSON object with the Spearman correlation by task
(`spearman`), all consoles counted, and the parameters of both models.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tyro
from scipy.stats import spearmanr

from ...env.episode import Episode
from ...env.scenario import Scenario
from ...env.setting import Setting
from ...env.task import Task
from ..pretrain import quick_target


@dataclass(frozen=True)
class TransferConfig:
    """Which consoles run on which two models."""

    proxy: Setting = field(default_factory=Setting)
    target: Setting = field(default_factory=quick_target)
    strengths: tuple[float, ...] = (0.25, 0.8)
    """1 - weight of null of the consoles"""
    pool_budgets: float = 50.0
    """tokens of the pool over tokens of the budget, the same for both models"""
    seed: int = 0
    """of both models' runs"""
    corpus: str | None = None
    """folder of a built corpus (default: the installed packages' text)"""


def consoles(task: Task, strengths: tuple[float, ...]) -> np.ndarray:
    """Natural, then each agent alone and all together at each strength: (M, K) weights."""
    num_agents = len(task.agent_names)
    shares = np.vstack([np.eye(num_agents)[1:], np.r_[0, np.full(num_agents - 1, 1 / (num_agents - 1))]])
    rows = [np.eye(num_agents)[:1]]
    for strength in strengths:
        rows.append(strength * shares + (1 - strength) * np.eye(num_agents)[:1])
    return np.concatenate(rows)


def gains(setting: Setting, task: Task, reference: str, config: TransferConfig) -> tuple[np.ndarray, int]:
    """Gain over natural of each console but natural, nats (M - 1,), and the model's parameters."""
    weights = consoles(task, config.strengths)
    learner = setting.learner(task, len(weights))
    episode = Episode(task, learner, setting.episode)
    scenario = Scenario(((reference, 1.0),), config.pool_budgets)
    episode.begin(list(range(len(weights))), [scenario] * len(weights), [config.seed] * len(weights))
    for _ in range(setting.episode.num_intervals):
        outcome = episode.step(weights)
    return outcome.loss_N[0] - outcome.loss_N[1:], learner.num_params


def measure(config: TransferConfig) -> dict[str, Any]:
    """Rank correlations by reference task."""
    task = config.proxy.open_task(config.corpus)
    target_task = Task(task.corpus, config.target.context, config.target.agents)
    spearman, params = {}, {}
    for reference in task.tasks:
        proxy, params["proxy_params"] = gains(config.proxy, task, reference, config)
        target, params["target_params"] = gains(config.target, target_task, reference, config)
        print(f"{reference}: proxy  {np.round(proxy, 3)}\n{reference}: target {np.round(target, 3)}", flush=True)
        spearman[reference] = round(float(spearmanr(proxy, target).statistic), 3)
    return {"spearman": spearman, "consoles": len(proxy), **params}


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(TransferConfig, description=__doc__))))
