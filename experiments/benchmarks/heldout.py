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

from ...env.core import ConsoleCore
from ...env.episode import Episode
from ...env.setting import Setting
from ...policies.registry import make_policy


@dataclass(frozen=True)
class HeldoutConfig:
    """`policies`: names, or folders of learned ones, beside natural; `scenario_set`: development or sealed;
    `scenarios`: how many; `seed`: of the set; `corpus`: folder (default: the installed packages)."""

    policies: tuple[str, ...] = ("uniform", "paper-rule", "agreement")
    scenario_set: str = "development"
    scenarios: int = 16
    seed: int = 0
    corpus: str | None = None
    setting: Setting = field(default_factory=Setting)


def measure(config: HeldoutConfig) -> dict[str, Any]:
    """Gains over natural, (scenarios, policies) nats, summed up."""
    task = config.setting.open_task(config.corpus)
    policies = [make_policy("natural", task.agent_names)]
    policies += [make_policy(name, task.agent_names) for name in config.policies]
    core = ConsoleCore(task, config.setting, 1, 1, "raw", config.scenario_set)  # it names seeds and scenarios
    core.base_seed = config.seed
    learner = config.setting.learner(task, len(policies))
    gains = []
    for number in range(config.scenarios):
        episode = Episode(task, learner, config.setting.episode)
        scenario, seed = core.run_scenario(0, number), core.run_seed(0, number)
        episode.begin(list(range(len(policies))), [scenario] * len(policies), [seed] * len(policies))
        for policy in policies:
            policy.reset(task.agent_names, 1)
        for _ in range(config.setting.episode.num_intervals):
            seen = episode.observe()
            outcome = episode.step(np.concatenate([policy.act(seen.run(run)) for run, policy in enumerate(policies)]))
        gains.append(outcome.loss_N[0] - outcome.loss_N[1:])
        weights = ", ".join(f"{task_name} {weight:.2f}" for task_name, weight in scenario.reference)
        print(f"{weights}, pool {scenario.pool_budgets:.1f} budgets: {np.round(gains[-1], 3)}", flush=True)
    return summary([policy.name for policy in policies[1:]], np.array(gains))


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
