"""pretraingym compare: policies on the same scenarios, seeds and tokens; the console's own costs are charged."""

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
from ...policies.named import check_names, learned_hashes, make_policies, members_of, warn_beyond_training
from ..analysis.scenario_table import ScenarioRuns, summarise, without_diverged_scenarios
from ..analysis.statistics import NATURAL, NATURAL_ANEW
from ..evaluation.outcomes import outcomes
from ..progress import Progress
from ..runs.preflight import check_policies, check_seed, task_of_run
from ..runs.run_folder import RunFolder


@dataclass(frozen=True)
class CompareConfig:
    """Run policies on the same scenarios and seeds, and report what each gains over natural, how often it harms and
    what it costs."""

    policies: tuple[str, ...] = ("uniform", "paper-rule", "agreement", "lift")
    """policies to compare with natural: names of rules, or folders of learned ones. NAME= gives one a name, as in
    mine=runs/console. Several learned alike count as one policy, as in mine=runs/1+runs/2: its numbers are their mean,
    and its interval includes the chance of having learned these"""
    folder: Path = Path("runs/compare")
    """folder of the runs, of results.json and of report.html"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    setting: Setting = field(default_factory=Setting)
    distribution: ScenarioDistribution = field(default_factory=lambda: ScenarioDistribution(split="development"))
    scenarios: int = 24
    """how many scenarios of the split to run"""
    seeds: int = 1
    """runs of each scenario, with different seeds"""
    ladder: tuple[float, ...] = ()
    """further complete runs of natural, by their budgets as multiples of the usual one, as in: 2 4. From these it is
    read how many tokens natural needs for a policy's loss"""
    test_windows: int = 256
    """windows of each reference task's test part to measure losses on"""
    without: tuple[str, ...] = ()
    """agents to leave out of all scenarios, to see what they are worth"""
    seed: int = 0
    """seed of the scenarios"""
    resume: bool = False
    """continue the comparison in the folder"""

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
        check_names(self.policies, (NATURAL, NATURAL_ANEW))
        if self.distribution.loss_part != "validation":
            raise InputError(
                f"loss_part is {self.distribution.loss_part}, expected validation: a comparison tells the loss on the "
                "text that steers beside that of the test part; the trial part is for learning"
            )


def main(config: CompareConfig) -> dict[str, Any]:
    """Run what is missing; write results.json and report.html; return the table of policies."""
    check_policies(members_of(config.policies), config.folder, config.corpus)
    with Progress() as progress:
        task = task_of_run(config, progress)
        policies = make_policies(config.policies, task.agent_names)
        scenarios = [_scenario(config, task, number) for number in range(config.scenarios)]
        folder = RunFolder(config.folder, config, config.resume, task.corpus, learned=learned_hashes(policies))
        progress.stage("compare", None)
        rows = list(_rows(config, folder, task, policies, scenarios, progress))
    warn_beyond_training(policies)
    results = summarise(ScenarioRuns(config.setting, task, without_diverged_scenarios(rows), policies))
    write_atomic(config.folder / "results.json", json.dumps(results | {"runs": rows}).encode())
    from ..reports.compare_report import write_compare_report  # which draws

    write_compare_report(config.folder, results)
    folder.close()
    shown = ("test_loss_mean", "gain_nats", "gain_ci95", "win_rate", "harm", "validation_gain_nats", "speedup")
    short = {name: {key: row[key] for key in shown} for name, row in results["policies"].items()}
    return {"report": str(config.folder / "report.html"), "policies": short}


def _scenario(config: CompareConfig, task: Task, number: int) -> tuple[Scenario, int]:
    """Scenario `number`, without the agents to leave out, and the seed of its first run. InputError: no agent
    remains."""
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
    """A row for each scenario and seed. Each is one stage of the folder, so an earlier session's rows are read from
    it."""
    total = config.scenarios * config.seeds
    for place in range(total):
        number, repeat = divmod(place, config.seeds)
        scenario, first = scenarios[number]
        seed = first + repeat

        def work(scenario: Scenario = scenario, seed: int = seed) -> dict[str, Any]:
            runs = outcomes(config.setting, task, policies, scenario, seed, config.test_windows, anew=True)
            ladder = {f"{scale:g}": _natural(config, task, scenario, seed, scale) for scale in config.ladder}
            return {"policies": runs, "ladder": ladder}

        about = {"scenario": scenario.as_json(), "number": number, "seed": seed}
        yield about | folder.stage(f"scenario-{number}-{repeat}", work)
        progress.update(place + 1, total)


def _natural(config: CompareConfig, task: Task, scenario: Scenario, seed: int, scale: float) -> dict[str, Any]:
    """A complete run of natural on `scale` times the tokens, of the same pool, with as much longer a learning-rate
    schedule."""
    clock = config.setting.episode
    steps = max(1, round(clock.steps_per_interval * scale))
    longer = replace(clock, steps_per_interval=steps)
    pool = scenario.pool_budgets * clock.total_steps / longer.total_steps
    setting, same = replace(config.setting, episode=longer), replace(scenario, pool_budgets=pool)
    return outcomes(setting, task, {}, same, seed, config.test_windows)[NATURAL]
