"""The table of a run's finished targets: each policy's losses over seeds, its gain over natural and its speed-up."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .policy_table import PolicyRow
from .statistics import NATURAL, paired_gain, speedup

Record = Mapping[str, Any]  # a line of metrics.jsonl


def losses_by_seed(finals: Iterable[Record]) -> dict[str, dict[int, float]]:
    """Policy -> seed -> test loss in nats, the scenario's mean over reference tasks, from `target-final` records."""
    losses: dict[str, dict[int, float]] = {}
    for record in finals:
        losses.setdefault(record["policy"], {})[record["seed"]] = _task_mean(record)
    return losses


def natural_ladder(finals: Iterable[Record], rungs: Iterable[Record]) -> list[tuple[float, float]]:
    """(tokens, test loss in nats) of complete natural runs, shortest first.

    The rung at the policies' own budget is the mean of natural's runs in `finals`. The others, from `natural-ladder`
    records, may have fewer seeds: each is placed by its difference from the run of the same seed at the budget, so that
    a seed's own luck does not bend the ladder."""
    own = {record["seed"]: record for record in finals if record["policy"] == NATURAL}
    anchor = float(np.mean([_task_mean(record) for record in own.values()]))
    differences: dict[float, list[float]] = {record["tokens"]: [0.0] for record in own.values()}
    for record in rungs:
        if record["seed"] not in own:
            raise ValueError(f"the ladder has seed {record['seed']}, natural's own runs have {sorted(own)}")
        differences.setdefault(record["tokens"], []).append(_task_mean(record) - _task_mean(own[record["seed"]]))
    return [(tokens, anchor + float(np.mean(differences[tokens]))) for tokens in sorted(differences)]


def target_table(finals: Sequence[Record], rungs: Sequence[Record]) -> dict[str, PolicyRow]:
    """The policies' rows, from the records of complete runs.

    Without natural among the runs there is nothing to gain over, and without rungs no speed-up: None then."""
    losses, table = losses_by_seed(finals), {}
    ladder = natural_ladder(finals, rungs) if rungs and NATURAL in losses else None
    for policy, by_seed in losses.items():
        own = [record for record in finals if record["policy"] == policy]
        mean = float(np.mean(list(by_seed.values())))
        gain = paired_gain(by_seed, losses[NATURAL]) if NATURAL in losses else None
        table[policy] = PolicyRow(
            test_loss_mean=mean,
            test_loss_sd=float(np.std(list(by_seed.values()), ddof=1)) if len(by_seed) > 1 else None,
            test_loss_by_task={
                task: float(np.mean([record["test_loss_nats"][task] for record in own]))
                for task in own[0]["test_loss_nats"]
            },
            test_bits_per_byte=float(np.mean([_task_mean(record, "test_bits_per_byte") for record in own])),
            gain_nats=gain.nats if gain else None,
            gain_sd=gain.sd if gain else None,
            gain_ci95=gain.ci95 if gain else None,
            speedup=speedup(mean, own[0]["tokens"], ladder) if ladder else None,
        )
    return table


def _task_mean(record: Record, measure: str = "test_loss_nats") -> float:
    """Mean over reference tasks, by the scenario's `task_weights` if the record has them, else plain."""
    losses = record[measure]
    weights = record.get("task_weights", dict.fromkeys(losses, 1.0))
    return float(np.average(list(losses.values()), weights=[weights.get(task, 0.0) for task in losses]))
