"""What constant weights gain that are searched anew for each scenario, and how much of that policies reach without.

    python -m pretraingym.experiments.benchmarks.anew --corpus FOLDER --folder runs/anew --policies lift ten-tasks

For every scenario CMA-ES (diagonal, mirrored) searches the strength and the shares of the agents that are there, in
log-odds, from the mean weights of the first policy's run: `generations` times `population` runs, each generation on a
seed of its own that all its candidates share. The search's mean, its start held constant, and the policies are then
run on fresh seeds and scored on the test parts. `fraction`: a policy's mean gain over that of the weights searched
anew, with its 95% interval, bootstrapped as in `compare`. The search costs `search_runs` a scenario. Every scenario is
a stage of the folder, and the same command with --resume goes on. Prints a table; last line: one JSON object.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...policies.base import Policy
from ...policies.baselines.constant import Constant
from ...policies.baselines.fixed import Natural
from ...policies.learners.cma_es import diagonal_search
from ...policies.named import check_names, make_policies, warn_beyond_training
from ...policies.trials.side_by_side import run_side_by_side
from ..analysis.bootstrap import ci95
from ..analysis.scenario_table import PairedRecords, ScenarioRuns, summarise
from ..analysis.statistics import NATURAL
from ..evaluation.outcomes import outcomes
from ..progress import Progress
from ..runs.preflight import check_seed, task_of_run
from ..runs.run_folder import RunFolder

Array = NDArray[np.float64]
SIGMA = 0.5  # first deviation of log-odds (assumed)
DIVERGED_NATS = 100.0  # ranks a run that diverged last
SMALLEST = 1e-3  # share that a search may start from
ANEW, START = "anew", "start"


@dataclass(frozen=True)
class AnewConfig:
    """Search constant weights anew for each scenario, and compare policies with them."""

    policies: tuple[str, ...] = ("lift",)
    """names or folders; every search starts from the first"""
    folder: Path = Path("runs/anew")
    """where the stages and results.json go"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    setting: Setting = field(default_factory=Setting)
    distribution: ScenarioDistribution = field(default_factory=lambda: ScenarioDistribution(split="development"))
    scenarios: int = 12
    """of the set"""
    population: int = 16
    """candidates of a generation"""
    generations: int = 8
    seeds: int = 2
    """fresh ones, for the scores"""
    test_windows: int = 256
    """of each reference task's test part"""
    seed: int = 0
    """of the scenarios"""
    resume: bool = False
    """go on with the searches in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_names(self.policies)
        if self.population < 4 or min(self.scenarios, self.generations, self.seeds) < 1 or not self.policies:
            raise InputError("expected at least 1 policy, scenario, generation and seed, and a population of 4")


class Searched(Natural):
    """The table's name for constant weights that differ from scenario to scenario (`search` finds them)."""

    def __init__(self, name: str) -> None:
        self.name = name

    def describe(self) -> str:
        return f"constant weights of its own in every scenario: {self.name}"


def measure(config: AnewConfig) -> dict[str, Any]:
    """Run what the folder does not have yet; write results.json."""
    with Progress() as progress:
        task = task_of_run(config, progress)
        policies = make_policies(config.policies, task.agent_names)
        folder = RunFolder(config.folder, config, config.resume, task.corpus)
        progress.stage("searches", None)
        records = list(_records(config, folder, task, policies, progress))
    runs = ScenarioRuns(config.setting, task, records, {name: Searched(name) for name in (ANEW, START)} | policies)
    results = summarise(runs) | {"fraction": fractions(runs.paired)}
    results["search_runs"] = config.population * config.generations
    write_atomic(config.folder / "results.json", json.dumps(results | {"runs": records}).encode())
    warn_beyond_training(policies)
    folder.close()
    gains = {
        name: {key: row[key] for key in ("gain_nats", "gain_ci95")}
        for name, row in results["policies"].items()
        if name != NATURAL
    }
    return {"policies": gains, "fraction": results["fraction"], "search_runs": results["search_runs"]}


def _records(
    config: AnewConfig, folder: RunFolder, task: Task, policies: dict[str, Policy], progress: Progress
) -> Iterator[dict[str, Any]]:
    """A record of each scenario and fresh seed, as `compare` keeps them."""
    for number in range(config.scenarios):
        scenario, seed = config.distribution.numbered(task, config.seed, number)
        consoles = folder.stage(
            f"search-{number}", partial(search, config, task, next(iter(policies.values())), scenario, seed)
        )
        own = {name: Constant(consoles[name]["strength"], consoles[name]["shares"]) for name in (ANEW, START)}
        for repeat in range(config.seeds):
            fresh = seed + config.generations + 1 + repeat
            work = partial(outcomes, config.setting, task, own | policies, scenario, fresh, config.test_windows)
            about = {"scenario": scenario.as_json(), "number": number, "seed": fresh, "ladder": {}}
            yield about | {"policies": folder.stage(f"scores-{number}-{repeat}", work)}
        progress.update(number + 1, config.scenarios)


def search(config: AnewConfig, task: Task, start: Policy, scenario: Scenario, seed: int) -> dict[str, Any]:
    """The constant weights that the search begins and ends with, each a strength and shares by agent, and the mean
    validation loss of each generation, nats."""
    first_run = run_side_by_side(config.setting, task, [start], scenario, [seed])
    present = first_run.first.mask[0].copy()
    present[0] = False
    names = [name for name, here in zip(task.agent_names, present, strict=True) if here]
    shares = np.maximum(first_run.weights_INK.mean(0)[0, present], SMALLEST)
    point = np.append(np.log(shares / shares.sum()), np.log(shares.sum() / max(1 - shares.sum(), SMALLEST)))
    strategy = diagonal_search(point, SIGMA, config.population, np.random.default_rng(seed))
    losses = []
    for generation in range(config.generations):
        candidates = strategy.ask()
        consoles = [_constant(names, candidate) for candidate in candidates]
        last = run_side_by_side(config.setting, task, consoles, scenario, [seed + 1 + generation]).last
        strategy.tell(candidates, list(np.nan_to_num(last.loss_N, nan=DIVERGED_NATS)))
        losses.append(round(float(np.nanmean(last.loss_N)), 4))
    ends = {ANEW: _constant(names, strategy.result.xfavorite), START: _constant(names, point)}
    return {name: {"strength": of.strength, "shares": of.shares} for name, of in ends.items()} | {"losses": losses}


def _constant(names: list[str], point: Array) -> Constant:
    """Weights by log-odds: the shares' first, the strength's last."""
    shares = np.exp(point[:-1] - point[:-1].max())
    strength = 1 / (1 + np.exp(-point[-1]))
    return Constant(float(strength), dict(zip(names, (shares / shares.sum()).tolist(), strict=True)))


def fractions(runs: PairedRecords) -> dict[str, dict[str, Any]]:
    """Mean gain over natural as a share of that of the weights searched anew, with its 95% interval, by policy."""
    gains = {name: runs.gains(name) for name in runs.names}
    draws = runs.resampled(gains)
    return {
        name: {
            "mean": float(gains[name].mean() / gains[ANEW].mean()),
            "ci95": list(ci95(draws[name] / draws[ANEW])),
        }
        for name in gains
        if name != ANEW
    }


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(AnewConfig, description=__doc__))))
