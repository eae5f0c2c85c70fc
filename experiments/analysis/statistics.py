"""The numbers of a comparison: paired gains with their intervals, and speed-up in tokens-to-loss."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NATURAL = "natural"
Row = Mapping[str, Any]  # of metrics.jsonl


@dataclass(frozen=True)
class Gain:
    """How much lower a policy's loss is than another's, paired by seed, in nats; positive is better."""

    mean: float
    sd: float | None  # standard deviation of the difference between seeds; None with one seed
    ci95: tuple[float, float] | None  # Student's t over seeds; None with one seed

    @property
    def verdict(self) -> str:
        """One of "better", "worse" and "undecided": the last where the interval holds 0 or there is none."""
        if self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]:
            return "undecided"
        return "better" if self.mean > 0 else "worse"


@dataclass(frozen=True)
class Speedup:
    """How many times fewer tokens a policy needed than natural did for the same loss; a bound beyond the ladder."""

    factor: float
    is_lower_bound: bool = False  # natural's longest run did not reach the loss
    is_upper_bound: bool = False  # natural's shortest run was better still

    def __str__(self) -> str:
        return f"{'≥ ' if self.is_lower_bound else '≤ ' if self.is_upper_bound else ''}{self.factor:.2f}"


def paired_gain(losses: Mapping[int, float], rival: Mapping[int, float]) -> Gain:
    """Gain of a policy over a rival: both are seed -> final loss in nats, and the seeds must be the same."""
    if losses.keys() != rival.keys() or not losses:
        raise ValueError(
            f"a paired gain needs the same seeds on both sides, given {sorted(losses)} and {sorted(rival)}"
        )
    gains = np.array([rival[seed] - losses[seed] for seed in losses])
    mean = float(gains.mean())
    if len(gains) == 1:
        return Gain(mean, None, None)
    from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes ten times as long to import

    sd = float(gains.std(ddof=1))
    half = float(stdtrit(len(gains) - 1, 0.975)) * sd / len(gains) ** 0.5
    return Gain(mean, sd, (mean - half, mean + half))


def speedup(loss: float, tokens: float, ladder: Sequence[tuple[float, float]]) -> Speedup:
    """Tokens that natural needs for `loss`, divided by the `tokens` with which the policy reached it.

    The ladder is (tokens, mean final loss) of *complete* natural runs, each with its own learning-rate decay: a
    crossing inside one run would compare a decayed model with one that is not. Between rungs the loss is taken as
    linear in log tokens. Where more tokens did not help, the shorter run's loss counts: natural is given the fewest
    tokens that reached the loss."""
    rungs = sorted(ladder)
    tokens_M = np.array([rung[0] for rung in rungs], dtype=float)
    best_M = np.minimum.accumulate([rung[1] for rung in rungs])  # lower envelope: falls with tokens, or stays
    if not rungs or not np.isfinite([loss, tokens, *tokens_M, *best_M]).all() or min(tokens, tokens_M[0]) <= 0:
        raise ValueError(f"speed-up needs finite losses and positive tokens, given {loss} at {tokens} and {rungs}")
    if loss < best_M[-1]:
        return Speedup(float(tokens_M[-1] / tokens), is_lower_bound=True)
    upper = int(np.argmax(best_M <= loss))  # the first rung that is as good
    if upper == 0:
        return Speedup(float(tokens_M[0] / tokens), is_upper_bound=bool(loss > best_M[0]))
    above, below = best_M[upper - 1], best_M[upper]
    rest = (loss - below) / (above - below)  # 0 at the longer rung, in log tokens
    natural = tokens_M[upper] * (tokens_M[upper - 1] / tokens_M[upper]) ** rest
    return Speedup(float(natural / tokens))


def losses_by_seed(finals: Iterable[Row]) -> dict[str, dict[int, float]]:
    """Policy -> seed -> test loss in nats, the scenario's mean over reference tasks, from `target-final` rows."""
    losses: dict[str, dict[int, float]] = {}
    for row in finals:
        losses.setdefault(row["policy"], {})[row["seed"]] = _task_mean(row)
    return losses


def natural_ladder(finals: Iterable[Row], rungs: Iterable[Row]) -> list[tuple[float, float]]:
    """(tokens, test loss in nats) of complete natural runs, shortest first.

    The rung at the policies' own budget is the mean of natural's runs in `finals`. The others, from `natural-ladder`
    rows, may have fewer seeds: each is placed by its difference from the run of the same seed at the budget, so that
    a seed's own luck does not bend the ladder."""
    own = {row["seed"]: row for row in finals if row["policy"] == NATURAL}
    anchor = float(np.mean([_task_mean(row) for row in own.values()]))
    differences: dict[float, list[float]] = {row["tokens"]: [0.0] for row in own.values()}
    for row in rungs:
        if row["seed"] not in own:
            raise ValueError(f"the ladder has seed {row['seed']}, natural's own runs have {sorted(own)}")
        differences.setdefault(row["tokens"], []).append(_task_mean(row) - _task_mean(own[row["seed"]]))
    return [(tokens, anchor + float(np.mean(differences[tokens]))) for tokens in sorted(differences)]


def compare(finals: Sequence[Row], rungs: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """The `policies` table of results.json, from the rows of complete runs.

    Without natural among the runs there is nothing to gain over, and without rungs no speed-up: None then."""
    losses, table = losses_by_seed(finals), {}
    ladder = natural_ladder(finals, rungs) if rungs and NATURAL in losses else None
    for policy, by_seed in losses.items():
        own = [row for row in finals if row["policy"] == policy]
        mean = float(np.mean(list(by_seed.values())))
        gain = paired_gain(by_seed, losses[NATURAL]) if NATURAL in losses else None
        fast = speedup(mean, own[0]["tokens"], ladder) if ladder else None
        table[policy] = {
            "test_loss_mean": mean,
            "test_loss_sd": float(np.std(list(by_seed.values()), ddof=1)) if len(by_seed) > 1 else None,
            "gain_nats_vs_natural": gain.mean if gain else None,
            "gain_sd": gain.sd if gain else None,
            "gain_ci95": list(gain.ci95) if gain and gain.ci95 else None,
            "speedup_vs_natural": fast.factor if fast else None,
            "speedup_is_lower_bound": bool(fast and fast.is_lower_bound),
            "speedup_is_upper_bound": bool(fast and fast.is_upper_bound),
            "test_bits_per_byte": float(np.mean([_task_mean(row, "test_bits_per_byte") for row in own])),
            "test_loss_by_task": {
                task: float(np.mean([row["test_loss_nats"][task] for row in own])) for task in own[0]["test_loss_nats"]
            },
        }
    return table


def _task_mean(row: Row, measure: str = "test_loss_nats") -> float:
    """Mean over reference tasks, by the scenario's `task_weights` if the row has them, else plain."""
    losses = row[measure]
    weights = row.get("task_weights", dict.fromkeys(losses, 1.0))
    return float(np.average(list(losses.values()), weights=[weights.get(task, 0.0) for task in losses]))
