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
class PairedRecords:
    """The runs of natural and the policies on some scenarios, of one corpus or, where records tell their `corpus`, of
    several: one record a scenario and seed. names: what the policies are called, with those that share the name."""

    records: Sequence[Record]
    names: Mapping[str, Sequence[str]]

    @property
    def firsts(self) -> list[Record]:
        """The first record of each scenario, in their order."""
        first: dict[tuple[str, int], Record] = {}
        for record in self.records:
            first.setdefault((_corpus(record), record["number"]), record)
        return list(first.values())

    @property
    def scenarios(self) -> list[Mapping[str, Any]]:
        """The scenarios, as JSON has them."""
        return [record["scenario"] for record in self.firsts]

    @property
    def clusters(self) -> list[str]:
        """The corpus and the reference task that counts most, by scenario: those that share it are not independent."""
        corpora = [f"{name}: " if (name := _corpus(record)) else "" for record in self.firsts]
        return [corpus + main_task(scenario) for corpus, scenario in zip(corpora, self.scenarios, strict=True)]

    @property
    def nulls(self) -> list[str]:
        """By scenario: the name of its kind, if it is one where the right answer is natural; else nothing."""
        return [scenario.get("null", "") for scenario in self.scenarios]

    @property
    def ran_anew(self) -> bool:
        """Whether natural also ran from another seed in every scenario; older records lack it."""
        return all(NATURAL_ANEW in record["policies"] for record in self.records)

    def losses(self, name: str, kind: str) -> Array:
        """Final losses, nats, by the scenario's mixture of reference tasks, (scenarios, seeds, policies that share the
        name). kind: "test" or "validation"."""
        members = self.names.get(name, [name])
        losses = [[_loss(record["policies"][member], record, kind) for member in members] for record in self.records]
        return np.array(losses).reshape(len(self.firsts), -1, len(members))

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


@dataclass(frozen=True)
class ScenarioRuns:
    """The records of one comparison, and what they are of."""

    setting: Setting
    task: Task
    records: Sequence[Record]
    policies: Mapping[str, Policy]

    @property
    def paired(self) -> PairedRecords:
        return PairedRecords(self.records, group_by_shared_name(list(self.policies)))


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


def policy_rows(runs: PairedRecords) -> dict[str, PolicyRow]:
    """What natural, every policy and, where it ran, natural from another seed come to: gains over natural and over each
    other policy with intervals, and harm."""
    anew = [NATURAL_ANEW] * runs.ran_anew
    gains = {name: runs.gains(name) for name in [*runs.names, *anew]}
    draws = runs.resampled(gains)
    table = {NATURAL: PolicyRow(test_loss_mean=float(runs.losses(NATURAL, "test").mean()))}
    for name, members in runs.names.items():
        over = {
            rival: Gain(float(gains[name].mean() - gains[rival].mean()), None, ci95(draws[name] - draws[rival]))
            for rival in runs.names
            if rival != name
        }
        table[name] = replace(_gain_row(runs, name, gains, draws), over=over, policies=len(members))
    for name in anew:
        # Its validation windows are a sample of their own, so these would hold the noise of two samples.
        table[name] = replace(_gain_row(runs, name, gains, draws), validation_gain_nats=None, overfit_nats=None)
    return table


def summarise(runs: ScenarioRuns) -> dict[str, Any]:
    """Print a table, and return what results.json holds beside the records: `policies` (policy_table.py), `costs`,
    `natural_ladder` and `scenarios`."""
    paired = runs.paired
    table = policy_rows(paired)
    params = runs.setting.num_params(runs.task.corpus.vocab_size)
    charges, labels = run_charges(runs.setting, params, len(runs.task.reference_tasks)), label_flops(runs.task)
    budget, scales = float(runs.setting.budget_tokens), list(runs.records[0]["ladder"])
    rungs = [(budget, table[NATURAL].test_loss_mean), *map(paired.rung, scales)]
    for name, members in paired.names.items():
        policy = runs.policies[members[0]]
        row = replace(table[name], describe=policy.describe())
        if scales:
            fast = speedup(row.test_loss_mean, budget, rungs)
            row = replace(row, speedup=fast, all_in=_all_in(policy, fast, charges, labels))
        table[name] = row
    if (count := len(set(paired.clusters))) < LEAST_CLUSTERS:
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
            {"number": record["number"], "cluster": of, "null": null}
            for record, of, null in zip(paired.firsts, paired.clusters, paired.nulls, strict=True)
        ],
    }


def _gain_row(runs: PairedRecords, name: str, gains: Mapping[str, Array], draws: Mapping[str, Array]) -> PolicyRow:
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
    kind = np.array(list(map(kind_of, nulls)))
    kinds = [each for each in (NULL, RISKY, ORDINARY) if (kind == each).any()]
    return {each: harm_of(by_scenario[kind == each]) for each in kinds} if len(kinds) > 1 else None


def kind_of(null: str) -> str:
    """The kind of a scenario by its `null`: what natural is in it."""
    return NULL if null in NATURAL_IS_RIGHT else RISKY if null else ORDINARY


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


def _corpus(record: Record) -> str:
    name: str = record.get("corpus", "")
    return name


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
