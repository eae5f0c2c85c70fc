"""The table of a comparison over scenarios: gains with intervals, harm, and what the same loss costs natural."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ...env.episode import DIVERGENCE_PENALTY_NATS
from ...env.scenarios.distribution import NATURAL_IS_RIGHT
from ...env.scenarios.task import Task
from ...env.settings.setting import Setting
from ...lm.io.errors import InputError
from ...lm.models.causal_lm import num_parameters
from ...policies.base import Policy
from ...policies.named import group_by_shared_name, learned_in
from .bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS, bootstrap_weights, ci95, resampled
from .charges import Charges, all_in_ratio, label_flops, run_charges
from .harm import Harm, harm_of
from .policy_table import NULL, ORDINARY, RISKY, PolicyRow, gain_cells, kind_cells, table_json
from .statistics import NATURAL, NATURAL_ANEW, Gain, Speedup, speedup

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
    def scenarios(self) -> list[Mapping[str, Any]]:
        """The scenarios, as JSON has them."""
        first = {record["number"]: record for record in reversed(self.records)}
        return [first[number]["scenario"] for number in self.numbers]

    @property
    def clusters(self) -> list[str]:
        """The reference task that counts most, by scenario: those that share it are not independent."""
        return [main_task(scenario) for scenario in self.scenarios]

    @property
    def nulls(self) -> list[str]:
        """By scenario: the name of its kind, if it is one where the right answer is natural; else nothing."""
        return [scenario.get("null", "") for scenario in self.scenarios]

    @property
    def names(self) -> dict[str, list[str]]:
        """What the policies are called, with those that share the name."""
        return group_by_shared_name(list(self.policies))

    @property
    def ran_anew(self) -> bool:
        """Whether natural also ran from another seed in every scenario; older records lack it."""
        return all(NATURAL_ANEW in record["policies"] for record in self.records)

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
        warnings.warn(
            f"natural diverged in scenarios {sorted(bad)}: they are left out for all policies, for there is nothing to "
            "gain over. If they are many, lower the learning rates",
            stacklevel=2,
        )
    return kept


def summarise(runs: ScenarioRuns) -> dict[str, Any]:
    """Print a table, and return what results.json holds beside the records: `policies` (policy_table.py), `costs`,
    `natural_ladder` and `scenarios`."""
    gains = {name: runs.gains(name) for name in [*runs.names, *[NATURAL_ANEW] * runs.ran_anew]}
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
    if runs.ran_anew:
        row = _gain_row(runs, NATURAL_ANEW, gains, draws)
        # Its validation windows are a sample of their own, so these would hold the noise of two samples.
        table[NATURAL_ANEW] = replace(row, validation_gain_nats=None, overfit_nats=None)
    if (count := len(set(runs.clusters))) < LEAST_CLUSTERS:
        warnings.warn(
            f"{FEW_CLUSTERS.format(count)}. Take a gain for real only where it is far above 0, or compare on a corpus "
            f"with {LEAST_CLUSTERS} or more",
            stacklevel=2,
        )
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
            {"number": number, "cluster": of, "null": null}
            for number, of, null in zip(runs.numbers, runs.clusters, runs.nulls, strict=True)
        ],
    }


def _policy_row(runs: ScenarioRuns, name: str, gains: Mapping[str, Array], draws: Mapping[str, Array]) -> PolicyRow:
    """What one policy gains: over natural, over each other policy, by scenario and by main reference task."""
    members, mean = runs.names[name], gains[name].mean()
    over = {
        rival: Gain(float(mean - gains[rival].mean()), None, ci95(draws[name] - draws[rival]))
        for rival in runs.names
        if rival != name
    }
    row = _gain_row(runs, name, gains, draws)
    return replace(row, over=over, describe=runs.policies[members[0]].describe(), policies=len(members))


def _gain_row(runs: ScenarioRuns, name: str, gains: Mapping[str, Array], draws: Mapping[str, Array]) -> PolicyRow:
    """What one policy, or natural from another seed, gains over natural."""
    mean, by_scenario = gains[name].mean(), gains[name].mean((1, 2))
    validation, test = (runs.losses(NATURAL, kind) - runs.losses(name, kind) for kind in ("validation", "test"))
    return PolicyRow(
        test_loss_mean=float(runs.losses(NATURAL, "test").mean()) - float(mean),
        gain_nats=float(mean),
        gain_ci95=ci95(draws[name]),
        win_rate=float((by_scenario > 0).mean()),
        harm=harm_of(by_scenario),
        harm_by_kind=_harm_by_kind(by_scenario, runs.nulls),
        validation_gain_nats=_mean_of_finite(validation),
        overfit_nats=_mean_of_finite(validation - test),
        gain_by_scenario=tuple(by_scenario.round(4).tolist()),
        gain_by_task={
            task: round(float(by_scenario[[of == task for of in runs.clusters]].mean()), 4)
            for task in dict.fromkeys(runs.clusters)
        },
    )


def _harm_by_kind(by_scenario: Array, nulls: Sequence[str]) -> dict[str, Harm] | None:
    """The harm by kind of scenario; None if all are of one kind."""
    kind = np.array([NULL if null in NATURAL_IS_RIGHT else RISKY if null else ORDINARY for null in nulls])
    kinds = [each for each in (NULL, RISKY, ORDINARY) if (kind == each).any()]
    return {each: harm_of(by_scenario[kind == each]) for each in kinds} if len(kinds) > 1 else None


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
    """The policies, highest gain first: over all scenarios, and by kind where there are several."""
    ranked = dict(sorted(table.items(), key=lambda item: item[1].test_loss_mean))
    first = f"Nats gained over natural, whose test loss is {table[NATURAL].test_loss_mean:.3f}"
    console = Console(stderr=True, highlight=False)
    for title, (head, rows) in {first: gain_cells(ranked), **kind_cells(ranked)}.items():
        # So it fits into 80 characters.
        shown = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for place, name in enumerate(head):
            shown.add_column(name.replace(" ", "\n").replace("-", "-\n"), max_width=None if place else 12)
        for row in rows:
            shown.add_row(*row)
        console.print(title, shown, "", sep="\n")
