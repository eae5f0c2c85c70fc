"""Policies on proxies, on scenarios and seeds that no learner saw.

    python -m pretraingym.experiments.benchmarks.heldout --policies agreement paper-rule runs/quickstart

Each scenario is run under natural and every policy from the same weights and random numbers. Prints the gain over
natural of each by scenario; last line: one JSON object with, for each policy, its mean gain in nats with a 95% interval
over scenarios (Student's t), its win rate against natural, and its mean gain over each rival with an interval.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tyro
from scipy.special import stdtrit

from ...env.axes import PLAIN
from ...env.core import ConsoleCore
from ...env.episode import Episode
from ...env.setting import Setting
from ...env.task import Task
from ...policies.base import act_apart
from ...policies.registry import make_policy


@dataclass(frozen=True)
class HeldoutConfig:
    """Which policies meet which scenarios."""

    policies: tuple[str, ...] = ("uniform", "paper-rule", "agreement")
    """names, or folders of learned ones, beside natural"""
    scenario_set: str = "development"
    """development or sealed"""
    axes: tuple[str, ...] = PLAIN
    """on which scenarios differ"""
    references: tuple[str, ...] = ()
    """reference tasks they may have (default: all of the corpus)"""
    scenarios: int = 16
    """how many of them"""
    at_once: int = 4
    """scenarios that run side by side; changes nothing but the time it takes"""
    seed: int = 0
    """of the set"""
    corpus: str | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    setting: Setting = field(default_factory=Setting)


def measure(config: HeldoutConfig) -> dict[str, Any]:
    """Gains over natural, (scenarios, policies) nats, summed up."""
    task = config.setting.open_task(config.corpus)
    chosen: dict[str, Any] = {"axes": config.axes, "references": config.references}
    core = ConsoleCore(task, config.setting, 1, 1, "raw", config.scenario_set, **chosen)  # it names seeds and scenarios
    core.base_seed = config.seed
    gains = []
    for first in range(0, config.scenarios, config.at_once):
        numbers = range(first, min(first + config.at_once, config.scenarios))
        for number, row in zip(numbers, gains_of(config, task, core, numbers), strict=True):
            scenario = core.run_scenario(0, number)
            weights = ", ".join(f"{name} {weight:.2f}" for name, weight in scenario.reference)
            print(f"{weights}, pool {scenario.pool_budgets:.1f} budgets: {np.round(row, 3)}", flush=True)
            gains.append(row)
    return summary(list(config.policies), np.array(gains))


def gains_of(config: HeldoutConfig, task: Task, core: ConsoleCore, numbers: range) -> np.ndarray:
    """Final gain over natural of every policy on the scenarios `numbers`, (len(numbers), policies) nats."""
    names = ["natural", *config.policies]
    runs = [(number, make_policy(name, task.agent_names)) for number in numbers for name in names]
    episode = Episode(task, config.setting.learner(task, len(runs)), config.setting.episode)
    scenarios, seeds = zip(*((core.run_scenario(0, n), core.run_seed(0, n)) for n, _ in runs), strict=True)
    episode.begin(list(range(len(runs))), list(scenarios), list(seeds))
    for _, policy in runs:
        policy.reset(task.agent_names, 1)
    for _ in range(config.setting.episode.num_intervals):
        outcome = episode.step(act_apart([policy for _, policy in runs], episode.observe()))
    losses = outcome.loss_N.reshape(len(numbers), len(names))
    return losses[:, :1] - losses[:, 1:]


def summary(names: list[str], gains_SP: np.ndarray) -> dict[str, Any]:
    """Mean and 95% interval over scenarios of each policy's gain, and of its gain over every other."""
    half = float(stdtrit(len(gains_SP) - 1, 0.975)) / len(gains_SP) ** 0.5

    def interval(gain_S: np.ndarray) -> list[float]:
        mean, reach = gain_S.mean(), half * gain_S.std(ddof=1)
        return [round(float(value), 4) for value in (mean, mean - reach, mean + reach)]

    return {
        name: {
            "gain_nats_and_ci95": interval(gains_SP[:, index]),
            "win_rate": float((gains_SP[:, index] > 0).mean()),
            "over": {
                rival: interval(gains_SP[:, index] - gains_SP[:, other])
                for other, rival in enumerate(names)
                if other != index
            },
        }
        for index, name in enumerate(names)
    }


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(HeldoutConfig, description=__doc__))))
