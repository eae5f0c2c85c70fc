"""What shared random numbers are worth: the noise of an episode's return, alone and against its control's.

    python -m pretraingym.experiments.benchmarks.randomness

Groups of proxies share scenario and seed. Runs of a group differ in their weights alone: those of a constant console,
or of one that follows measured influence, each moved a little at random. A return is the fall of the validation loss
over the episode; `paired` subtracts that of the group's control, which all runs of a group have in common, so that it
takes noise from between groups and none from within.

Printed: the standard deviation (nats) of both returns over all runs, and its parts between and within groups (one-way
analysis of variance). Then standard errors for a compute of 100 runs in groups of G, a control counted as 1/G of a run
for each: of the mean return, sqrt((G between^2 + within^2) (1 + 1/G) / 100), and of the difference between two
policies with 100 each, which within a group owes nothing to what the group has in common: sqrt(2 within^2 (1 + 1/G) /
100), and for G = 1 sqrt(2 (between^2 + within^2) (1 + 1) / 100); raw has no control to count. Last line: one JSON
object with all of it by console.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...env.episode import Episode, Interval, run_episode
from ...env.scenarios.distribution import PLAIN, ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...env.settings.surrogate_setting import SurrogateSetting
from ...lm.corpus.corpus import Corpus
from ...lm.io.errors import InputError

Array = NDArray[np.float64]
CONSOLES = ("constant", "influence")
REWARDS = ("raw", "paired")
COMPUTE = 100  # runs


@dataclass(frozen=True)
class RandomnessConfig:
    """Which runs the deviations are measured on."""

    corpus: str | None = None
    """folder of a built corpus (default: the synthetic one)"""
    groups: int = 16
    """scenarios, each with one seed"""
    runs: int = 4
    """of each console in a group, beside its control"""
    at_once: int = 4
    """groups that are trained side by side"""
    strength: float = 0.5
    """1 - weight of null: spread evenly over the other agents by "constant", on the influence agent by "influence" """
    perturbation: float = 0.05
    """share of the weights that is drawn at random for each run"""
    group_sizes: tuple[int, ...] = (1, 2, 4, 8, 16)
    """that standard errors are given for"""
    seed: int = 0
    """of scenarios, runs and perturbations"""
    setting: Setting = field(default_factory=Setting)

    def __post_init__(self) -> None:
        if self.groups < 2 or self.runs < 2:
            raise InputError(f"{self.groups} groups of {self.runs} runs given, expected at least 2 of 2")


def measure(config: RandomnessConfig) -> dict[str, Any]:
    """Deviations and standard errors by console, and what they took."""
    corpus = Corpus.open(Path(config.corpus)) if config.corpus else SurrogateSetting().open_task().corpus
    task, begun = config.setting.task(corpus), perf_counter()
    if "influence" not in task.agent_names:
        raise InputError(f"no agent 'influence' among {', '.join(task.agent_names)}: add it to --setting.agents")
    batches = np.array_split(np.arange(config.groups), -(-config.groups // config.at_once))
    falls = np.concatenate([episode_falls(config, task, list(map(int, batch))) for batch in batches])
    seconds = perf_counter() - begun
    figures: dict[str, Any] = {}
    for console, raw_GN in zip(CONSOLES, falls[:, 1:].reshape(config.groups, 2, -1).swapaxes(0, 1), strict=True):
        returns = {"raw": raw_GN, "paired": raw_GN - falls[:, :1]}
        figures[console] = {reward: _of_reward(returns[reward], reward, config) for reward in REWARDS}
    Console().print(_deviation_table(figures, config), _error_table(figures, config))
    return {
        "compute_runs": COMPUTE,
        "groups": config.groups,
        "seconds_per_run": round(seconds / falls.size, 2),
        **figures,
    }


def episode_falls(config: RandomnessConfig, task: Task, groups: list[int]) -> Array:
    """Nats that the validation loss fell over the episode: of the control, then of the runs of each console ->
    (len(groups), 1 + 2 * runs)."""
    size = 1 + len(CONSOLES) * config.runs
    seeds = [int(np.random.SeedSequence([config.seed, group]).generate_state(1)[0]) for group in groups]
    distribution = ScenarioDistribution(vary=PLAIN)
    scenarios = [distribution.sample(task, seed) for seed in seeds]
    backend = config.setting.backend(task, size * len(groups))
    episode = Episode(task, backend, config.setting.episode)
    every = np.repeat(np.arange(len(groups)), size)
    episode.enter(list(range(len(every))), [scenarios[i] for i in every], [seeds[i] for i in every])
    weights = np.concatenate([group_weights(config, task, group) for group in groups])
    intervals: list[Interval] = []
    run_episode(episode, lambda _: weights, on_interval=intervals.append)
    falls = sum(interval.fall_N for interval in intervals[1:])
    return np.reshape(falls, (len(groups), size))


def group_weights(config: RandomnessConfig, task: Task, group: int) -> Array:
    """Weights of a group's runs, (1 + 2 * runs, K): natural's for the control, then each console's, perturbed."""
    weighted = np.array([agent.weighted for agent in task.prototypes])
    natural = np.eye(len(weighted))[0]
    others = weighted & (natural == 0)
    follows = np.eye(len(weighted))[task.agent_names.index("influence")]
    rng, weights = np.random.default_rng([config.seed, group]), [natural]
    for target in (others / others.sum(), follows):
        base = (1 - config.strength) * natural + config.strength * target
        for _ in range(config.runs):
            drawn = np.zeros(len(weighted))
            drawn[weighted] = rng.dirichlet(np.ones(weighted.sum()))
            weights.append((1 - config.perturbation) * base + config.perturbation * drawn)
    return np.stack(weights)


def deviations(return_GN: Array) -> tuple[float, float]:
    """Standard deviations of returns (groups, runs of a group) between groups and within them; their squares add up to
    the variance."""
    within = float(return_GN.var(1, ddof=1).mean())
    between = float(return_GN.mean(1).var(ddof=1)) - within / return_GN.shape[1]
    return max(between, 0.0) ** 0.5, within**0.5


def standard_errors(between: float, within: float, group_size: int, reward: str) -> tuple[float, float]:
    """Noise of the mean return and of the difference between two policies, each for COMPUTE runs (see the module)."""
    cost = (1 + 1 / group_size if reward == "paired" else 1.0) / COMPUTE
    apart = within**2 + (between**2 if group_size == 1 else 0.0)
    return ((group_size * between**2 + within**2) * cost) ** 0.5, (2 * apart * cost) ** 0.5


def _of_reward(return_GN: Array, reward: str, config: RandomnessConfig) -> dict[str, Any]:
    between, within = deviations(return_GN)
    errors = {size: standard_errors(between, within, size, reward) for size in config.group_sizes}
    return {
        "mean_nats": round(float(return_GN.mean()), 4),
        "sd_nats": round(float(np.hypot(between, within)), 5),
        "between_sd_nats": round(between, 5),
        "within_sd_nats": round(within, 5),
        "mean_se_nats": {str(size): round(error[0], 5) for size, error in errors.items()},
        "difference_se_nats": {str(size): round(error[1], 5) for size, error in errors.items()},
    }


def _deviation_table(figures: dict[str, Any], config: RandomnessConfig) -> Table:
    title = f"returns in nats, {config.groups} groups of {config.runs} runs"
    table = Table("console", "reward", "mean", "deviation", "between groups", "within", title=title)
    for console in CONSOLES:
        for reward in REWARDS:
            its = figures[console][reward]
            parts = [its[name] for name in ("mean_nats", "sd_nats", "between_sd_nats", "within_sd_nats")]
            table.add_row(console, reward, *(f"{part:.4f}" for part in parts))
    return table


def _error_table(figures: dict[str, Any], config: RandomnessConfig) -> Table:
    table = Table("console", "of the", "reward", title=f"standard errors in nats for {COMPUTE} runs, by group size")
    for size in config.group_sizes:
        table.add_column(str(size))
    for console in CONSOLES:
        for what in ("mean", "difference"):
            for reward in REWARDS:
                errors = figures[console][reward][f"{what}_se_nats"].values()
                table.add_row(console, what, reward, *(f"{error:.4f}" for error in errors))
    return table


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(RandomnessConfig, description=__doc__))))
