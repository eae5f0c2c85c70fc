"""pretraingym compare: policies on the same scenarios, seeds and tokens, with all that a console costs charged."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.roster import Roster
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...policies.base import Policy
from ...policies.named import check_names, learned_hashes, make_policies
from ..analysis.scenario_table import ScenarioRuns, summarise, without_diverged_scenarios
from ..analysis.statistics import NATURAL
from ..evaluation.side_by_side import outcomes
from ..progress import Progress
from ..reports.compare_report import write_compare_report
from ..runs.preflight import check_seed, run_task
from ..runs.run_folder import RunFolder


@dataclass(frozen=True)
class CompareConfig:
    """Run policies on the same scenarios and seeds, paired, and tell what each gains over natural and costs."""

    policies: tuple[str, ...] = ("uniform", "paper-rule", "agreement", "lift")
    """names, or folders of learned ones, beside natural; a name of one's own before =, as in mine=runs/console, also of
    one learned several times, as in mine=runs/1+runs/2: what it is given is the mean, and which of them is chance"""
    folder: Path = Path("runs/compare")
    """where the runs and results.json go"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    setting: Setting = field(default_factory=Setting)
    distribution: ScenarioDistribution = field(default_factory=lambda: ScenarioDistribution(split="development"))
    scenarios: int = 24
    """how many of the set"""
    seeds: int = 1
    """of each scenario"""
    ladder: tuple[float, ...] = ()
    """budgets of complete runs of natural, beside 1, that tokens-to-loss is read on, as in: 2 4"""
    test_windows: int = 256
    """of each reference task's test half"""
    without: tuple[str, ...] = ()
    """agents that are absent from all scenarios, to see what they are worth"""
    seed: int = 0
    """of the scenarios"""
    resume: bool = False
    """go on with the comparison in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.scenarios < 2 or self.seeds < 1 or self.test_windows < 1:
            raise InputError(
                f"{self.scenarios} scenarios, {self.seeds} seeds, {self.test_windows} test windows given, expected at "
                "least 2, 1 and 1"
            )
        if any(not 0 < scale < float("inf") or scale == 1 for scale in self.ladder):
            raise InputError(f"ladder is {self.ladder}, expected positive budgets other than 1")
        if not self.policies:
            raise InputError("no policies given, expected at least one beside natural, such as --policies lift")
        check_names(self.policies)


def main(config: CompareConfig) -> dict[str, Any]:
    """Run what is missing; write results.json and report.html; return the table of policies."""
    with Progress() as progress:
        task = run_task(config, progress)
        policies = make_policies(config.policies, task.agent_names)
        scenarios = [_scenario(config, task, number) for number in range(config.scenarios)]
        folder = RunFolder(config.folder, config, config.resume, task.corpus, learned=learned_hashes(policies))
        progress.stage("compare", None)
        rows = list(_rows(config, folder, task, policies, scenarios, progress))
    results = summarise(ScenarioRuns(config.setting, task, without_diverged_scenarios(rows), policies))
    write_atomic(config.folder / "results.json", json.dumps(results | {"runs": rows}).encode())
    write_compare_report(config.folder, results)
    folder.close()
    shown = ("test_loss_mean", "gain_nats", "gain_ci95", "win_rate", "speedup")
    short = {name: {key: row[key] for key in shown} for name, row in results["policies"].items()}
    return {"report": str(config.folder / "report.html"), "policies": short}


def _scenario(config: CompareConfig, task: Task, number: int) -> tuple[Scenario, int]:
    """Scenario `number` without the agents that are left out, and its first seed. InputError: it has no agent left."""
    scenario, seed = config.distribution.numbered(task, config.seed, number)
    if not config.without:
        return scenario, seed
    copies = tuple((place, of) for place, of in scenario.copies if of not in config.without)
    scenario = replace(scenario, absent=tuple(dict.fromkeys(scenario.absent + config.without)), copies=copies)
    try:
        Roster(task.prototypes, list(task.layout.columns), 1).begin(0, scenario, seed)
    except InputError as error:
        raise InputError(f"without {', '.join(config.without)}, scenario {number}: {error}") from None
    return scenario, seed


def _rows(
    config: CompareConfig,
    folder: RunFolder,
    task: Task,
    policies: dict[str, Policy],
    scenarios: list[tuple[Scenario, int]],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """One a scenario and seed, each a stage of the folder."""
    total = config.scenarios * config.seeds
    for place in range(total):
        number, repeat = divmod(place, config.seeds)
        scenario, first = scenarios[number]
        seed = first + repeat

        def work(scenario: Scenario = scenario, seed: int = seed) -> dict[str, Any]:
            runs = outcomes(config.setting, task, policies, scenario, seed, config.test_windows)
            ladder = {f"{scale:g}": _natural(config, task, scenario, seed, scale) for scale in config.ladder}
            return {"policies": runs, "ladder": ladder}

        about = {"scenario": scenario.as_json(), "number": number, "seed": seed}
        yield about | folder.stage(f"scenario-{number}-{repeat}", work)
        progress.update(place + 1, total)


def _natural(config: CompareConfig, task: Task, scenario: Scenario, seed: int, scale: float) -> dict[str, Any]:
    """A complete run of natural on `scale` times the tokens of the same pool, its learning rate stretched to match."""
    clock = config.setting.episode
    steps = max(1, round(clock.steps_per_interval * scale))
    longer = replace(clock, steps_per_interval=steps)
    pool = scenario.pool_budgets * clock.total_steps / longer.total_steps
    setting, same = replace(config.setting, episode=longer), replace(scenario, pool_budgets=pool)
    return outcomes(setting, task, {}, same, seed, config.test_windows)[NATURAL]
