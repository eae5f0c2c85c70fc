"""Room: what a policy could gain by choosing weights to suit the scenario, measured before anything is learned.

    python -m pretraingym.experiments.benchmarks.room --corpus FOLDER --folder runs/room

Quasi-random constant consoles (Sobol; strength uniform, shares over families of agents Dirichlet(.5)) and natural run
on every scenario from the same weights and random numbers, with several seeds. Gain: natural's last validation loss
minus a console's, nats. Room: the gain of each scenario's winner, chosen on all seeds but one and scored on that one,
minus that of the console with the best mean over all scenarios, chosen likewise; the mean over seeds. Its standard
error is over scenarios. Foresight: the gain of the console that a regression of gains on weights and natural's first
observation expects most of, fitted without the scenario (and its reference mixture's main task), minus that of the
constant that is best without it; and the rank correlation of expected and seen gains. Every scenario and seed is a
stage of the folder, and the same command with --resume goes on. Prints a table; last line: one JSON object.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import gammaincinv
from scipy.stats import qmc, spearmanr

from ...env.console.action_map import ActionMap
from ...env.episode import DIVERGENCE_PENALTY_NATS
from ...env.scenarios.distribution import ScenarioDistribution
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...policies.actors.gain_actor import GainActor, GainConfig
from ...policies.baselines.constant import Constant, family
from ...policies.baselines.fixed import Natural
from ...policies.learners.regression import Trials
from ...policies.trials.side_by_side import run_side_by_side
from ..analysis.scenario_table import main_task
from ..progress import Progress
from ..runs.preflight import check_seed, task_of_run
from ..runs.run_folder import RunFolder

Array = NDArray[np.float64]
CONCENTRATION = 0.5  # of the Dirichlet that shares are drawn from: most consoles favour one family or two


@dataclass(frozen=True)
class RoomConfig:
    """Which consoles meet which scenarios."""

    folder: Path = Path("runs/room")
    """where the stages go"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    consoles: int = 32
    """constant consoles beside natural"""
    strengths: tuple[float, float] = (0.02, 0.4)
    """lowest and highest of the consoles"""
    scenarios: int = 24
    """of the training set"""
    seeds: int = 2
    """of each scenario"""
    distribution: ScenarioDistribution = field(default_factory=ScenarioDistribution)
    seed: int = 0
    """of the scenarios"""
    setting: Setting = field(default_factory=Setting)
    resume: bool = False
    """go on with the runs in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.scenarios < 2 or self.seeds < 2 or self.consoles < 2:
            raise InputError(
                f"{self.consoles} consoles, {self.scenarios} scenarios, {self.seeds} seeds given, expected two of each"
            )


def measure(config: RoomConfig) -> dict[str, Any]:
    """Run what the folder does not have yet; figures of all runs."""
    with Progress() as progress:
        task = task_of_run(config, progress)
        consoles = quasi_random(task.agent_names, config.consoles, config.strengths)
        folder = RunFolder(config.folder, config, config.resume, task.corpus)
        progress.stage("consoles", None)
        pieces = list(_pieces(config, folder, task, consoles, progress))
    folder.close()
    gains = np.array([piece["gain"] for piece in pieces]).reshape(config.scenarios, config.seeds, -1)
    figures = room(gains) | foresight(pieces)
    best = int(np.argmax(gains.mean((0, 1))))
    _print(figures, consoles[best].describe())
    return figures | {"best_constant": {"strength": consoles[best].strength, "shares": consoles[best].shares}}


def _pieces(
    config: RoomConfig, folder: RunFolder, task: Task, consoles: list[Constant], progress: Progress
) -> Iterator[dict[str, Any]]:
    """What `run_piece` gives of each scenario and seed, with the scenario."""
    for number in range(config.scenarios):
        scenario, first = config.distribution.numbered(task, config.seed, number)
        for seed in range(config.seeds):
            work = partial(run_piece, config, task, consoles, scenario, first ^ seed)
            yield {"scenario": scenario.as_json()} | folder.stage(f"scenario-{number}-{seed}", work)
        progress.update(number + 1, config.scenarios)


def quasi_random(agents: tuple[str, ...], count: int, strengths: tuple[float, float]) -> list[Constant]:
    """Constant consoles over the families of these agents, the first `count` of a Sobol sequence."""
    families = sorted({family(agent) for agent in agents[1:]})
    points = qmc.Sobol(1 + len(families), seed=0).random(1 << max(count - 1, 1).bit_length())[:count]
    low, high = strengths
    shares = gammaincinv(CONCENTRATION, points[:, 1:])
    shares /= shares.sum(1, keepdims=True)
    return [
        Constant(low + (high - low) * float(point[0]), dict(zip(families, map(float, of_console), strict=True)))
        for point, of_console in zip(points, shares, strict=True)
    ]


def run_piece(
    config: RoomConfig, task: Task, consoles: list[Constant], scenario: Scenario, seed: int
) -> dict[str, Any]:
    """Final gains (nats) of the consoles over natural, natural's loss, the weights, and natural's first observation."""
    finished = run_side_by_side(config.setting, task, [Natural(), *consoles], scenario, [seed])
    last, first = finished.last, finished.first
    return {
        "gain": (last.loss_N[0] - last.loss_N[1:]).tolist(),
        "natural_loss": float(last.loss_N[0]),
        "weights": finished.weights_INK[0, 1:].tolist(),
        "agents": first.agents[0].tolist(),
        "mask": first.mask[0].tolist(),
        "training": first.statistics[0].tolist(),
    }


def room(gains: Array) -> dict[str, Any]:
    """What the module says, of gains (scenarios, seeds, consoles), nats. A console that diverged counts as -1."""
    gains = np.nan_to_num(gains, nan=-DIVERGENCE_PENALTY_NATS)
    every, num_seeds = np.arange(len(gains)), gains.shape[1]
    winner, constant = np.zeros((2, len(gains)))
    for scored in range(num_seeds):
        chosen = np.delete(gains, scored, 1).mean(1)
        winner += gains[every, scored, chosen.argmax(1)] / num_seeds
        constant += gains[:, scored, chosen.mean(0).argmax()] / num_seeds
    difference = winner - constant
    error = float(difference.std(ddof=1) / len(difference) ** 0.5)
    noise = float((gains.std(1, ddof=1) ** 2).mean() ** 0.5)
    return {
        "winner_nats": float(winner.mean()),
        "constant_nats": float(constant.mean()),
        "room_nats": float(difference.mean()),
        "room_se_nats": error,
        "room_over_se": float(difference.mean()) / max(error, 1e-12),
        "room_over_constant": float(difference.mean()) / max(float(constant.mean()), 1e-12),
        "seed_sd_nats": noise,
        "by_scenario": difference.round(4).tolist(),
    }


def foresight(pieces: list[dict[str, Any]]) -> dict[str, float]:
    """How much of the room a regression on the first observation finds, as the module says."""
    actor = GainActor(GainConfig(), ActionMap())
    names = ("weights", "agents", "mask", "training")
    designs, gains, of, tasks = [], [], [], []
    for piece in pieces:
        weights, agents, mask, training = (torch.tensor(piece[name]) for name in names)
        count = len(weights)
        given = (part.expand(count, *part.shape) for part in (agents, mask, training))
        with torch.no_grad():
            designs.append(actor.design(weights.float(), *given).double().numpy())
        gains.append(np.nan_to_num(np.array(piece["gain"], np.float64), nan=-DIVERGENCE_PENALTY_NATS))
        of.append(json.dumps(piece["scenario"]))
        tasks.append(main_task(piece["scenario"]))
    expected, chosen, constant = np.zeros(np.shape(gains)), [], []
    for index in range(len(pieces)):
        apart = tasks if len(set(tasks)) > 1 else of
        rest = [other for other in range(len(pieces)) if apart[other] != apart[index]]
        scenario = np.repeat([of.index(of[other]) for other in rest], len(gains[0]))
        trials = Trials(np.concatenate([designs[i] for i in rest]), np.concatenate([gains[i] for i in rest]), scenario)
        expected[index] = designs[index] @ trials.fit()[0]
        chosen.append(gains[index][expected[index].argmax()])
        constant.append(gains[index][np.mean([gains[i] for i in rest], 0).argmax()])
    difference = np.array(chosen) - constant
    by_scenario = [difference[[name == each for name in of]].mean() for each in dict.fromkeys(of)]
    ranks = [spearmanr(one, other).statistic for one, other in zip(expected, gains, strict=True)]
    return {
        "foresight_nats": float(np.mean(by_scenario)),
        "foresight_se_nats": float(np.std(by_scenario, ddof=1) / len(by_scenario) ** 0.5),
        "foresight_spearman": float(np.mean(ranks)),
    }


def _print(figures: dict[str, Any], constant: str) -> None:
    table = Table("figure", "value", title=f"best constant: {constant}")
    for name, value in figures.items():
        if name != "by_scenario":
            table.add_row(name, f"{value:.3f}")
    Console().print(table)


if __name__ == "__main__":
    print(json.dumps(measure(tyro.cli(RoomConfig, description=__doc__))))
