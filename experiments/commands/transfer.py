"""pretraingym transfer: do small proxies rank policies as the target does? Measured before the target is paid for."""

import json
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...env.scenarios.distribution import PLAIN, ScenarioDistribution
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.io.files import write_atomic
from ...lm.io.typed_json import to_json
from ...policies.base import Policy
from ...policies.baselines.constant import family
from ...policies.named import check_names, learned_hashes, make_policies, members_of, warn_beyond_training
from ..analysis.harm import harm_of
from ..analysis.statistics import NATURAL, rank_correlation, signed
from ..evaluation.outcomes import outcomes
from ..progress import Progress
from ..runs.preflight import check_policies, check_seed, preflight_task
from ..runs.run_corpus import corpus_of_run
from ..runs.run_folder import RunFolder
from .pretrain import quick_target

STRENGTHS = 0.25, 0.8  # of the constant weights that are compared beside the policies


@dataclass(frozen=True)
class TransferConfig:
    """Run the same policies and constant weights on proxies of several sizes and on the target, and report how well
    each size ranks them as the target does."""

    policies: tuple[str, ...] = ("uniform", "paper-rule", "agreement", "lift")
    """names of rules, or folders of learned policies. Constant weights are added: each family of agents at strengths
    .25 and .8"""
    folder: Path = Path("runs/transfer")
    """folder of the runs and of results.json"""
    corpus: Path | None = None
    """folder of a built corpus (default: the installed packages' text)"""
    proxy: Setting = field(default_factory=Setting)
    widths: tuple[int, ...] = (16, 32, 48, 96)
    """widths of the proxies; all else is as in proxy"""
    target: Setting = field(default_factory=quick_target)
    distribution: ScenarioDistribution = field(
        default_factory=lambda: ScenarioDistribution(split="development", vary=PLAIN)
    )
    scenarios: int = 4
    """how many scenarios of the split to run"""
    seed: int = 0
    """seed of the scenarios"""
    resume: bool = False
    """continue the runs in the folder"""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_names(self.policies)
        if self.scenarios < 1 or not self.widths:
            raise InputError(
                f"{self.scenarios} scenarios and widths {self.widths} given, expected at least one of each"
            )


def main(config: TransferConfig) -> dict[str, Any]:
    """Run what is missing; write and return results.json."""
    check_policies(members_of(config.policies), config.folder, config.corpus)
    with Progress() as progress:
        corpus = corpus_of_run(config.folder, config.corpus, progress)
        settings = {f"width-{width}": replace(config.proxy, width=width) for width in config.widths}
        settings["target"] = config.target
        tasks = {name: preflight_task(setting, corpus) for name, setting in settings.items()}
        config.distribution.reference_tasks(tasks["target"])
        for name, task in tasks.items():
            if task.agent_names != tasks["target"].agent_names:
                raise InputError(
                    f"{name} has the agents {', '.join(task.agent_names)}, expected the target's, "
                    f"{', '.join(tasks['target'].agent_names)}: set --proxy.agents as --target.agents"
                )
        policies = make_policies(config.policies + _constants(tasks["target"]), tasks["target"].agent_names)
        folder = RunFolder(config.folder, config, config.resume, corpus, learned=learned_hashes(policies))
        losses: dict[str, list[dict[str, float]]] = {}
        for name, setting in settings.items():
            progress.stage(name, None)
            losses[name] = [
                folder.stage(f"{name}-{number}", partial(_losses, config, tasks[name], setting, policies, number))
                for number in range(config.scenarios)
            ]
    sizes = {name: setting.num_params(tasks[name].corpus.vocab_size) for name, setting in settings.items()}
    results = {
        "sizes": {name: {"params": sizes[name], **rank_agreement(losses[name], losses["target"])} for name in settings}
    }
    write_atomic(config.folder / "results.json", json.dumps(results | {"losses": losses}, indent=1).encode())
    folder.close()
    warn_beyond_training(policies)
    _print(results["sizes"])
    return results


def _constants(task: Task) -> tuple[str, ...]:
    """The constant weights that are compared beside the policies."""
    families = sorted({family(agent) for agent in task.agent_names[1:]})
    return tuple(f"constant:strength={strength},{of}=1" for of in families for strength in STRENGTHS)


def _losses(
    config: TransferConfig, task: Task, setting: Setting, policies: dict[str, Policy], number: int
) -> dict[str, float]:
    """Final validation loss by console on scenario `number`, nats; the same for every size."""
    scenario, seed = config.distribution.numbered(task, config.seed, number)
    runs = outcomes(setting, task, policies, scenario, seed, 1)
    return {name: run["validation_loss_nats"] for name, run in runs.items()}


def rank_agreement(losses: list[dict[str, float]], target: list[dict[str, float]]) -> dict[str, Any]:
    """How far one size's final losses by scenario and console agree with the target's: Spearman's correlation of the
    gains over natural (their mean over scenarios, and each; 0 where there is nothing to rank), and `regret`: the
    target's loss under the policy that wins at this size, less its loss under its own winner, nats. Policies whose run
    diverged on either do not count.

    `harm`: what the target would come to under the policy that wins at this size, over natural (`harm.py`; of
    validation losses, the only ones measured here); None where natural diverged in every scenario."""
    correlations, regrets, gains = [], [], []
    for own, wanted in zip(losses, target, strict=True):
        names = [name for name in own if name != NATURAL and None not in (own[name], wanted[name])]
        here, there = (np.array([of[name] for name in names]) for of in (own, wanted))
        correlations.append(rank_correlation(here, there))
        regrets.append(float(there[here.argmin()] - there.min()) if names else 0.0)
        if names and wanted[NATURAL] is not None:
            gains.append(wanted[NATURAL] - there[here.argmin()])
    return {
        "spearman": float(np.mean(correlations)),
        "spearman_by_scenario": np.round(correlations, 3).tolist(),
        "regret_nats": float(np.mean(regrets)),
        "harm": to_json(harm_of(np.array(gains))) if gains else None,
    }


def _print(sizes: dict[str, dict[str, Any]]) -> None:
    """A row a size; from `gain` on: the target's, under the policy that wins at this size."""
    head = "model", "parameters", "rank correlation with the target", "regret, nats", "gain", "harmed", "worst tenth"
    table = Table(*head)
    for name, row in sizes.items():
        cells = [name, f"{row['params']:,}", f"{row['spearman']:.2f}", f"{row['regret_nats']:.3f}"]
        if harm := row["harm"]:
            cells += [signed(harm["gain_nats"]), f"{harm['harmed_share']:.0%}", signed(harm["worst_tenth_nats"])]
        table.add_row(*cells)
    Console(stderr=True).print(table)
