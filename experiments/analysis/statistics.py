"""The numbers of a comparison: paired gains with their intervals, and speed-up in tokens-to-loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

NATURAL = "natural"
NATURAL_ANEW = "natural, another seed"  # the same scenario from other initial weights and draws: chance alone
NONE = "–"  # in a table, where a number is not known


@dataclass(frozen=True)
class Gain:
    """How much lower a policy's mean loss is than another's over the same runs; positive is better."""

    nats: float
    sd: float | None  # standard deviation of the difference between seeds; None with one seed, or where not estimated
    ci95: tuple[float, float] | None  # low and high, nats; None with one seed

    @property
    def verdict(self) -> str:
        """One of "better", "worse" and "undecided": the last where the interval holds 0 or there is none."""
        if self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]:
            return "undecided"
        return "better" if self.nats > 0 else "worse"


@dataclass(frozen=True)
class Speedup:
    """How many times fewer tokens a policy needed than natural did for the same loss; a bound beyond the ladder."""

    factor: float
    is_lower_bound: bool = False  # natural's longest run did not reach the loss
    is_upper_bound: bool = False  # natural's shortest run was better still

    def __str__(self) -> str:
        return f"{'≥ ' if self.is_lower_bound else '≤ ' if self.is_upper_bound else ''}{self.factor:.2f}"


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of at least two independent values, and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def rank_correlation(first_N: NDArray[np.float64], second_N: NDArray[np.float64]) -> float:
    """Spearman's; 0 where there is nothing to rank: fewer than two pairs, or one side all alike."""
    if len(first_N) < 2 or np.ptp(first_N) == 0 or np.ptp(second_N) == 0:
        return 0.0
    from scipy.stats import spearmanr

    return float(spearmanr(first_N, second_N).statistic)


def paired_gain(losses: Mapping[int, float], rival: Mapping[int, float]) -> Gain:
    """Gain of a policy over a rival: both are seed -> final loss in nats, and the seeds must be the same. The interval
    is by Student's t over seeds."""
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
    rung_tokens = np.array([rung[0] for rung in rungs], dtype=float)
    best_loss = np.minimum.accumulate([rung[1] for rung in rungs])  # lower envelope: falls with tokens, or stays
    if not rungs or not np.isfinite([loss, tokens, *rung_tokens, *best_loss]).all() or min(tokens, rung_tokens[0]) <= 0:
        raise ValueError(f"speed-up needs finite losses and positive tokens, given {loss} at {tokens} and {rungs}")
    if loss < best_loss[-1]:
        return Speedup(float(rung_tokens[-1] / tokens), is_lower_bound=True)
    upper = int(np.argmax(best_loss <= loss))  # the first rung that is as good
    if upper == 0:
        return Speedup(float(rung_tokens[0] / tokens), is_upper_bound=bool(loss > best_loss[0]))
    above, below = best_loss[upper - 1], best_loss[upper]
    rest = (loss - below) / (above - below)  # 0 at the longer rung, in log tokens
    natural = rung_tokens[upper] * (rung_tokens[upper - 1] / rung_tokens[upper]) ** rest
    return Speedup(float(natural / tokens))


def known(value: Any) -> bool:
    return value is not None and isfinite(value)


def signed(value: Any) -> str:
    """A gain as tables have it."""
    return f"{value:+.3f}".replace("-", "−") if known(value) else NONE


def interval(gain: Gain | None) -> str:
    return f"{signed(gain.ci95[0])} to {signed(gain.ci95[1])}" if gain and gain.ci95 else NONE
