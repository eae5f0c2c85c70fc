"""The mixture of which a regression expects most, and how far it moves when the runs are drawn anew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...policies.learners.boosted_trees import SIMULATED, mean_of_best
from ..analysis.bootstrap import ci95
from .regression import Array, MixtureRegression, numbered
from .runs import Runs

CLOSER, WIDER = 8.0, 0.5  # concentrations of the simulated mixtures, over that of the runs (assumed)
LEAST_CONCENTRATION = 0.5  # below, nearly every mixture is of one column
Interval = tuple[float, float]  # 95%, low and high


@dataclass(frozen=True)
class Best:
    """mixture: the best; low, high: 95% of the refits' best ones, by column; best_loss, mean_loss, gain: what is
    predicted of it, of the mean mixture of the runs, and their difference, above 0 if the best one is better; each with
    the interval of what the refits predict of the same two mixtures. A refit sees about two thirds of the mixtures, so
    that the intervals can lie to one side of what all runs give."""

    mixture: Array
    low: Array
    high: Array
    best_loss: float
    best_loss_ci95: Interval
    mean_loss: float
    mean_loss_ci95: Interval
    gain: float
    gain_ci95: Interval


def simulated_mixtures(given: Array, count: int, rng: np.random.Generator) -> Array:
    """Random mixtures around the given ones, (count, columns): Dirichlet with their mean, as RegMix draws them.

    Concentrations are log-uniform, from half of the given mixtures' (of their mean variance) to eight times that: as
    wide as the runs, and closer to their mean. No share leaves the range that it has in the runs: a mixture that would
    is moved towards the mean until it is inside. That is all that is assumed of what a mixture may be; where runs are
    scarce within these ranges, the regression guesses there too."""
    mean = given.mean(0)
    concentration = max((mean * (1 - mean)).sum() / given.var(0).sum() - 1, LEAST_CONCENTRATION)
    factors = np.exp(rng.uniform(np.log(WIDER), np.log(CLOSER), count))
    drawn = rng.standard_gamma(concentration * factors[:, None] * mean) + 1e-300
    step = drawn / drawn.sum(1, keepdims=True) - mean
    room = np.where(step > 0, given.max(0) - mean, mean - given.min(0))
    share = np.min(room / np.maximum(np.abs(step), 1e-12), 1).clip(max=1.0)
    return np.asarray(mean + share[:, None] * step)


def best_mixture(
    runs: Runs,
    regression: MixtureRegression,
    resamples: int,
    rng: np.random.Generator,
    on_refit: Callable[[int], None] = lambda _: None,
) -> Best:
    """The best mixture by a regression on `runs`. A refit is on as many mixtures, drawn from those of the runs with
    replacement, each with all of its runs; how its parts are mixed and shaped stays."""
    simulated = simulated_mixtures(runs.mixtures, SIMULATED, rng)
    mixture = mean_of_best(simulated, -regression.predict(simulated))
    both = np.stack([mixture, runs.mixtures.mean(0)])
    bests, losses, number_N = [], [], numbered(runs.mixtures)
    count = number_N.max() + 1
    for number in range(resamples):
        drawn_N = rng.multinomial(count, np.full(count, 1 / count)).astype(np.float64)[number_N]
        again = MixtureRegression(regression.trees_share, regression.smooth.shape, regression.smooth.seed)
        again.fit(runs.mixtures, runs.loss_N, drawn_N)
        bests.append(mean_of_best(simulated, -again.predict(simulated)))
        losses.append(again.predict(both))
        on_refit(number + 1)
    low, high = np.percentile(bests, [2.5, 97.5], axis=0)
    (loss, mean_loss), (losses_best, losses_mean) = regression.predict(both), np.array(losses).T
    return Best(
        mixture=mixture,
        low=low,
        high=high,
        best_loss=float(loss),
        best_loss_ci95=ci95(losses_best),
        mean_loss=float(mean_loss),
        mean_loss_ci95=ci95(losses_mean),
        gain=float(mean_loss - loss),
        gain_ci95=ci95(losses_mean - losses_best),
    )
