"""The table of a comparison over scenarios: gains with intervals, win rates, and what the same loss costs natural."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...env.episode import DIVERGENCE_PENALTY_NATS
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.models.causal_lm import num_parameters
from ...policies.base import Policy
from ...policies.named import group_by_shared_name, learned_in
from .bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS, bootstrap_weights, ci95, resampled
from .charges import Charges, all_in_ratio, label_flops, run_charges
from .policy_table import PolicyRow, table_json
from .statistics import NATURAL, Gain, Speedup, speedup

Array = NDArray[np.float64]
Record = Mapping[str, Any]  # of one scenario and seed: scenario, number, policies and ladder, as `compare` keeps them
TARGETS = (1, 2, 3, 5, 10, 30, 100)  # runs that one learned policy drives
FLOPS_RATIOS = (1, 10, 100, 1000, 10_000)  # of a target's training over a proxy's


@dataclass(frozen=True)
class ScenarioRuns:
    """The runs of natural and the policies on some scenarios: one record a scenario and seed."""

    setting: Setting
    task: Task
    records: Sequence[Record]
    policies: Mapping[str, Policy]

    @property
    def numbers(self) -> list[int]:
        """Numbers of the scenarios, in their order."""
        return list(dict.fromkeys(record["number"] for record in self.records))

    @property
    def clusters(self) -> list[str]:
        """The reference task that counts most, by scenario: those that share it are not independent."""
        first = {record["number"]: record for record in reversed(self.records)}
        return [main_task(first[number]["scenario"]) for number in self.numbers]

    @property
    def names(self) -> dict[str, list[str]]:
        """What the policies are called, with those that share the name."""
        return group_by_shared_name(list(self.policies))

    def losses(self, name: str, kind: str) -> Array:
        """Final losses, nats, by the scenario's mixture of reference tasks, (scenarios, seeds, policies that share the
        name). kind: "test" or "validation"."""
        members = self.names.get(name, [name])
        losses = [[_loss(record["policies"][member], record, kind) for member in members] for record in self.records]
        return np.array(losses).reshape(len(self.numbers), -1, len(members))

    def rung(self, scale: str) -> tuple[float, float]:
        """(tokens, mean test loss) of natural's complete runs on about `scale` budgets."""
        runs = [record["ladder"][scale] for record in self.records]
        losses = [_loss(run, record, "test") for run, record in zip(runs, self.records, strict=True)]
        return float(np.mean([run["tokens"] for run in runs])), float(np.mean(losses))

    def gains(self, name: str) -> Array:
        """Test losses of natural less those of the policy, as `losses`; a run that diverged lost a nat."""
        loss = self.losses(name, "test")
        return np.where(np.isfinite(loss), self.losses(NATURAL, "test") - loss, -DIVERGENCE_PENALTY_NATS)

    def resampled(self, gains: Mapping[str, Array]) -> dict[str, Array]:
        """Resampled means (bootstrap.py) of each, paired."""
        weights = bootstrap_weights(self.clusters, next(iter(gains.values())).shape[1])
        return {name: resampled(weights, gain, seed) for seed, (name, gain) in enumerate(gains.items())}


def main_task(scenario: Mapping[str, Any]) -> str:
    """The reference task that counts most in a scenario, as JSON has it."""
    name: str = max(scenario["reference"], key=lambda pair: pair[1])[0]
    return name


def without_diverged_scenarios(records: Sequence[Record]) -> list[Record]:
    """The records of the scenarios in which no run of natural, on any budget and seed, diverged: in the others, of
    which a warning tells, nothing can be paired. InputError: none is left."""
    bad = {
        record["number"]
        for record in records
        if not all(
            np.isfinite(_loss(run, record, "test")) for run in (record["policies"][NATURAL], *record["ladder"].values())
        )
    }
    kept = [record for record in records if record["number"] not in bad]
    if not kept:
        raise InputError("natural diverged in every scenario, expected one to compare in: lower the learning rates")
    if bad:
        warnings.warn(f"natural diverged in scenarios {sorted(bad)}: they are left out for all", stacklevel=2)
    return kept


def summarise(runs: ScenarioRuns) -> dict[str, Any]:
    """Print a table, and return what results.json holds beside the records: `policies` (policy_table.py), `costs`,
    `natural_ladder` and `scenarios`."""
    gains = {name: runs.gains(name) for name in runs.names}
    draws = runs.resampled(gains)
    params = num_parameters(runs.setting.model_config(runs.task.corpus.vocab_size))
    charges, labels = run_charges(runs.setting, params, len(runs.task.reference_tasks)), label_flops(runs.task)
    natural, budget = float(runs.losses(NATURAL, "test").mean()), float(runs.setting.budget_tokens)
    scales = list(runs.records[0]["ladder"])
    rungs = [(budget, natural), *map(runs.rung, scales)]
    table = {NATURAL: PolicyRow(test_loss_mean=natural)}
    for name, members in runs.names.items():
        row = _policy_row(runs, name, gains, draws)
        if scales:
            fast = speedup(row.test_loss_mean, budget, rungs)
            row = replace(row, speedup=fast, all_in=_all_in(runs.policies[members[0]], fast, charges, labels))
        table[name] = row
    if (count := len(set(runs.clusters))) < LEAST_CLUSTERS:
        warnings.warn(FEW_CLUSTERS.format(count), stacklevel=2)
    _print(table)
    return {
        "policies": table_json(table),
        "costs": {
            "params": params,
            "run_train_flops": charges.train,
            "run_evaluate_flops": charges.evaluate,
            "run_probe_flops": charges.probe,
            "label_flops": labels,
        },
        "natural_ladder": rungs,
        "scenarios": [
            {"number": number, "cluster": of} for number, of in zip(runs.numbers, runs.clusters, strict=True)
        ],
    }


def _policy_row(runs: ScenarioRuns, name: str, gains: Mapping[str, Array], draws: Mapping[str, Array]) -> PolicyRow:
    """What one policy gains: over natural, over each other policy, by scenario and by main reference task."""
    members, mean, by_scenario = runs.names[name], gains[name].mean(), gains[name].mean((1, 2))
    return PolicyRow(
        test_loss_mean=float(runs.losses(NATURAL, "test").mean()) - float(mean),
        gain_nats=float(mean),
        gain_ci95=ci95(draws[name]),
        win_rate=float((by_scenario > 0).mean()),
        validation_gain_nats=_mean_of_finite(runs.losses(NATURAL, "validation") - runs.losses(name, "validation")),
        over={
            rival: Gain(float(mean - gains[rival].mean()), None, ci95(draws[name] - draws[rival]))
            for rival in gains
            if rival != name
        },
        gain_by_scenario=tuple(by_scenario.round(4).tolist()),
        gain_by_task={
            task: round(float(by_scenario[[of == task for of in runs.clusters]].mean()), 4)
            for task in dict.fromkeys(runs.clusters)
        },
        describe=runs.policies[members[0]].describe(),
        policies=len(members),
    )


def _mean_of_finite(values: Array) -> float | None:
    finite = np.isfinite(values)
    return float(np.nanmean(values)) if finite.any() else None


def _all_in(policy: Policy, fast: Speedup, charges: Charges, labels: float) -> dict[str, tuple[float, ...]]:
    """All-in ratio at each number of targets, by the FLOPs of a target's training over a proxy's; the runs compared are
    taken for such proxies as the policy was learned on."""
    learning = labels / charges.train
    if (learned := learned_in(policy)) is not None:
        learning += learned.card.proxy_runs * (1 + charges.overhead())
    return {
        str(ratio): tuple(
            round(all_in_ratio(fast.factor, charges.overhead(ratio), learning, targets, ratio), 4)
            for targets in TARGETS
        )
        for ratio in FLOPS_RATIOS
    }


def _loss(run: Mapping[str, Any], record: Record, kind: str) -> float:
    """Final loss, nats; NaN where the run diverged."""
    if kind == "validation":
        return _float(run["validation_loss_nats"])
    losses = run["test_loss_nats"]
    return float(sum(weight * _float(losses[name]) for name, weight in record["scenario"]["reference"]))


def _float(value: float | None) -> float:
    return float("nan") if value is None else value


def _print(table: Mapping[str, PolicyRow]) -> None:
    shown = Table("policy", "test loss", "gain over natural", "95% interval", "wins", "speed-up")
    for name, row in sorted(table.items(), key=lambda item: item[1].test_loss_mean):
        cells = ["-"] * 4
        if row.gain_nats is not None and row.gain_ci95 is not None:
            low, high = row.gain_ci95
            cells = [f"{row.gain_nats:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{row.win_rate:.0%}"]
            cells.append(str(row.speedup or "-"))
        shown.add_row(name, f"{row.test_loss_mean:.3f}", *cells)
    Console(stderr=True).print(shown)
