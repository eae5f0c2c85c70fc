"""The numbers of a comparison over scenarios: gains with intervals, win rates, and what the same loss costs natural."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from ...policies.named import by_name, learned_in
from .bootstrap import FEW_CLUSTERS, LEAST_CLUSTERS, bootstrap_weights, interval, resampled
from .charges import Charges, all_in_ratio, label_flops, run_charges
from .statistics import NATURAL, Speedup, speedup

Array = NDArray[np.float64]
TARGETS = (1, 2, 3, 5, 10, 30, 100)  # runs that one learned policy drives
FLOPS_RATIOS = (1, 10, 100, 1000, 10_000)  # of a target's training over a proxy's


@dataclass(frozen=True)
class Compared:
    """What was run: rows of one scenario and seed each, as `compare` keeps them."""

    setting: Setting
    task: Task
    rows: Sequence[Mapping[str, Any]]
    policies: Mapping[str, Policy]

    @property
    def numbers(self) -> list[int]:
        """Of the scenarios, in their order."""
        return list(dict.fromkeys(row["number"] for row in self.rows))

    @property
    def clusters(self) -> list[str]:
        """The reference task that counts most, by scenario: those that share it are not independent."""
        first = {row["number"]: row for row in reversed(self.rows)}
        return [main_task(first[number]["scenario"]) for number in self.numbers]

    @property
    def names(self) -> dict[str, list[str]]:
        """What the policies are called, with those that share the name."""
        return by_name(list(self.policies))

    def losses(self, name: str, kind: str) -> Array:
        """Final losses, nats, by the scenario's mixture of reference tasks, (scenarios, seeds, policies that share the
        name). kind: "test" or "validation"."""
        members = self.names.get(name, [name])
        return self._grid([[_loss(row["policies"][member], row, kind) for member in members] for row in self.rows])

    def rung(self, scale: str) -> tuple[float, float]:
        """(tokens, mean test loss) of natural's complete runs on about `scale` budgets."""
        runs = [row["ladder"][scale] for row in self.rows]
        losses = [_loss(run, row, "test") for run, row in zip(runs, self.rows, strict=True)]
        return float(np.mean([run["tokens"] for run in runs])), float(np.mean(losses))

    def gains(self, name: str) -> Array:
        """Test losses of natural less those of the policy, as `losses`; what diverged lost a nat."""
        loss = self.losses(name, "test")
        return np.where(np.isfinite(loss), self.losses(NATURAL, "test") - loss, -DIVERGENCE_PENALTY_NATS)

    def resampled(self, gains: Mapping[str, Array]) -> dict[str, Array]:
        """Resampled means (bootstrap.py) of each, paired."""
        weights = bootstrap_weights(self.clusters, next(iter(gains.values())).shape[1])
        return {name: resampled(weights, gain, seed) for seed, (name, gain) in enumerate(gains.items())}

    def _grid(self, values: list[list[float]]) -> Array:
        return np.array(values).reshape(len(self.numbers), -1, len(values[0]))


def main_task(scenario: Mapping[str, Any]) -> str:
    """The reference task that counts most in a scenario, as JSON has it."""
    name: str = max(scenario["reference"], key=lambda pair: pair[1])[0]
    return name


def summarise(compared: Compared) -> dict[str, Any]:
    """Print a table, and return the `policies` and `costs` of results.json."""
    natural = compared.losses(NATURAL, "test")
    gains = {name: compared.gains(name) for name in compared.names}
    draws = compared.resampled(gains)
    params = num_parameters(compared.setting.model_config(compared.task.corpus.vocab_size))
    charges = run_charges(compared.setting, params, len(compared.task.tasks))
    costs: dict[str, Any] = {
        "params": params,
        "run_train_flops": charges.train,
        "run_evaluate_flops": charges.evaluate,
        "run_probe_flops": charges.probe,
        "label_flops": label_flops(compared.task),
    }
    scales = list(compared.rows[0]["ladder"])
    budget = float(compared.setting.budget_tokens)
    rungs = [(budget, float(natural.mean())), *map(compared.rung, scales)]
    table: dict[str, dict[str, Any]] = {NATURAL: {"test_loss_mean": float(natural.mean())}}
    for name, members in compared.names.items():
        row = _row(compared, name, gains, draws)
        row["test_loss_mean"] = float(natural.mean()) - row["gain_nats_and_ci95"][0]
        if scales:
            fast = speedup(row["test_loss_mean"], budget, rungs)
            row |= {"speedup": fast.factor}
            row |= {"speedup_is_lower_bound": fast.is_lower_bound, "speedup_is_upper_bound": fast.is_upper_bound}
            row["all_in"] = _all_in(compared.policies[members[0]], fast.factor, charges, costs["label_flops"])
        table[name] = row
    if (count := len(set(compared.clusters))) < LEAST_CLUSTERS:
        warnings.warn(FEW_CLUSTERS.format(count), stacklevel=2)
    _print(table)
    about = [{"number": number, "cluster": of} for number, of in zip(compared.numbers, compared.clusters, strict=True)]
    return {"policies": table, "costs": costs, "natural_ladder": rungs, "scenarios": about}


def _row(compared: Compared, name: str, gains: Mapping[str, Array], draws: Mapping[str, Array]) -> dict[str, Any]:
    """What one policy gains, by itself, over each other one, by scenario and by main reference task."""
    members, mean, by_scenario = compared.names[name], gains[name].mean(), gains[name].mean((1, 2))
    validation = compared.losses(NATURAL, "validation") - compared.losses(name, "validation")
    return {
        "describe": compared.policies[members[0]].describe(),
        "policies": len(members),
        "gain_nats_and_ci95": interval(mean, draws[name]),
        "validation_gain_nats": float(np.nanmean(validation)),
        "win_rate": float((by_scenario > 0).mean()),
        "over": {
            rival: interval(mean - gains[rival].mean(), draws[name] - draws[rival]) for rival in gains if rival != name
        },
        "gain_by_scenario": by_scenario.round(4).tolist(),
        "gain_by_task": {
            task: round(float(by_scenario[[of == task for of in compared.clusters]].mean()), 4)
            for task in dict.fromkeys(compared.clusters)
        },
    }


def _all_in(policy: Policy, factor: float, charges: Charges, labels: float) -> dict[str, list[float]]:
    """All-in ratio at each number of targets, by the FLOPs of a target's training over a proxy's; the runs compared are
    taken for such proxies as the policy was learned on."""
    learning = labels / charges.train
    if (learned := learned_in(policy)) is not None:
        learning += learned.card.proxy_runs * (1 + charges.overhead())
    return {
        str(ratio): [
            round(all_in_ratio(factor, charges.overhead(ratio), learning, targets, ratio), 4) for targets in TARGETS
        ]
        for ratio in FLOPS_RATIOS
    }


def _loss(run: Mapping[str, Any], row: Mapping[str, Any], kind: str) -> float:
    if kind == "validation":
        return _float(run["validation_loss_nats"])
    losses = run["test_loss_nats"]
    return float(sum(weight * _float(losses[name]) for name, weight in row["scenario"]["reference"]))


def fast_of(row: Mapping[str, Any]) -> Speedup | None:
    """The speed-up in a policy's row, if a ladder was run."""
    if "speedup" not in row:
        return None
    return Speedup(row["speedup"], row["speedup_is_lower_bound"], row["speedup_is_upper_bound"])


def where_natural_ended(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of the scenarios in which natural, on every budget and seed, did not diverge: nothing can be paired with
    the others, of which a warning tells. InputError: there are none."""
    bad = {
        row["number"]
        for row in rows
        if not all(np.isfinite(_loss(run, row, "test")) for run in (row["policies"][NATURAL], *row["ladder"].values()))
    }
    kept = [row for row in rows if row["number"] not in bad]
    if not kept:
        raise InputError("natural diverged in every scenario, expected one to compare in: lower the learning rates")
    if bad:
        warnings.warn(f"natural diverged in scenarios {sorted(bad)}: they are left out for all", stacklevel=2)
    return kept


def _float(value: float | None) -> float:
    return float("nan") if value is None else value


def _print(table: dict[str, dict[str, Any]]) -> None:
    shown = Table("policy", "test loss", "gain over natural", "95% interval", "wins", "speed-up")
    order = sorted(table, key=lambda name: table[name]["test_loss_mean"])
    for name in order:
        row = table[name]
        mean, low, high = row.get("gain_nats_and_ci95", (0.0, 0.0, 0.0))
        cells = [
            f"{mean:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
            f"{row.get('win_rate', 0):.0%}",
            str(fast_of(row) or "-"),
        ]
        cells = ["-"] * len(cells) if name == NATURAL else cells
        shown.add_row(name, f"{row['test_loss_mean']:.3f}", *cells)
    Console(stderr=True).print(shown)
