"""How a budget flows into cells: at rates that differ, and that fall as a cell is used up."""

import numpy as np
from numpy.typing import NDArray

from .blocks import blocks

Array = NDArray[np.float64]
BIN_WIDTH = 0.01  # of a bin of log rates: half of it to the fourth power, over 4!, is below 1e-10
FEW_CELLS = 1024  # cells: of so few, all runs at once are faster than each by its bins


def spend(log_rate_NC: Array, pool_NC: Array, budget: float) -> Array:
    """Tokens drawn from each cell in N runs, (N, C): pool * log(1 + tau * rate) with the time tau at which a run's sum
    to `budget`, to a billionth of it. Overwrites `log_rate_NC`: fresh memory for arrays of many cells would cost more
    than the rest.

    Where there are more cells than bins of log rates, epochs are computed for the bins, and for the cells by a Taylor
    series about the middle of their bin: as exact as a logarithm and an exponential a cell, in a third of the time."""
    log_rate_NC -= log_rate_NC.max(1, keepdims=True)
    # As `_binned` computes the bins: a division may round otherwise.
    num_bins_N = (log_rate_NC.min(1) * (-1 / BIN_WIDTH)).astype(np.int64) + 1
    few_N = num_bins_N >= (log_rate_NC.shape[1] if log_rate_NC.shape[1] > FEW_CELLS else 0)
    spent_NC = np.empty(pool_NC.shape)
    if few_N.any():
        rate, pool = log_rate_NC[few_N], pool_NC[few_N]
        spent_NC[few_N] = pool * _epochs(rate + _log_tau(rate, pool, budget)[:, None])[0]
    for run in np.flatnonzero(~few_N):
        _spend_by_bins(log_rate_NC[run], pool_NC[run], budget, int(num_bins_N[run]), spent_NC[run])
    return spent_NC


def _spend_by_bins(log_rate_C: Array, pool_C: Array, budget: float, num_bins: int, spent_C: Array) -> None:
    """`spend` of one run, into `spent_C`."""
    bin_C, offset_C, moments = _binned(log_rate_C, pool_C, num_bins)
    log_tau = _log_tau_of_bins(moments, budget)
    step = np.inf
    while abs(step) >= 1e-9:  # NaN ends it too
        epochs, growth = _epochs(_middle(np.arange(num_bins)) + log_tau)
        spent = grown = 0.0
        for part in blocks(len(pool_C)):
            bin_B = bin_C[part]
            spent_B, growth_B = _near_middle(epochs[bin_B], growth[bin_B], offset_C[part], pool_C[part])
            spent_C[part] = spent_B
            spent, grown = spent + spent_B.sum(), grown + growth_B.sum()
        step = (budget - spent) / grown
        log_tau += step


def _log_tau(log_rate_NC: Array, pool_NC: Array, budget: float) -> Array:
    """Log of the time at which `budget` is spent, (N,). What is spent is convex and rising in it, so Newton's method
    goes to the right of the root in its first step and then falls to it. It starts to the left, for log(1 + x) <= x. A
    run that is there stays there, so that its last bit does not depend on the others."""
    log_tau_N = np.log(budget / (pool_NC * np.exp(log_rate_NC)).sum(1))
    going_N = np.ones(len(log_tau_N), bool)
    while going_N.any():
        epochs_NC, growth_NC = _epochs(log_rate_NC + log_tau_N[:, None])
        step_N = (budget - (pool_NC * epochs_NC).sum(1)) / (pool_NC * growth_NC).sum(1)
        log_tau_N = np.where(going_N, log_tau_N + step_N, log_tau_N)
        going_N &= abs(step_N) >= 1e-7  # squared, as a next step would be, it is nothing
    return log_tau_N


def _log_tau_of_bins(moments: Array, budget: float) -> float:
    """Log tau from the mean and the variance of the log rates in each bin, weighted by pool: so exact, mostly
    within 1e-10, that one pass over the cells ends it."""
    some = np.flatnonzero(moments[0])
    pool, first, second = moments[:, some]
    mean = first / pool
    log_rate = _middle(some) + mean
    log_tau = _log_tau(log_rate[None], pool[None], budget)[0]
    growth = _epochs(log_rate + log_tau)[1]
    beyond_mean = (second - first * mean) * growth * (1 - growth) / 2  # that cells spend more than their bin's mean
    return float(log_tau - beyond_mean.sum() / (pool * growth).sum())


def _epochs(log_x_C: Array) -> tuple[Array, Array]:
    """log(1 + x), and how fast it grows with log x."""
    epochs_C = np.logaddexp(0.0, log_x_C)
    return epochs_C, np.exp(log_x_C - epochs_C)


def _binned(log_rate_C: Array, pool_C: Array, num_bins: int) -> tuple[NDArray[np.int32], Array, Array]:
    """The bin of each cell, by falling rate from 0; how far the cell is from its middle (in the place of the rates);
    and of each bin the pool and the pool's first and second moment of that distance, (3, num_bins)."""
    bin_C, moments = np.empty(len(log_rate_C), np.int32), np.zeros((3, num_bins))
    for part in blocks(len(log_rate_C)):
        bin_B, offset_B, weight_B = bin_C[part], log_rate_C[part], pool_C[part].copy()
        bin_B[:] = offset_B * (-1 / BIN_WIDTH)
        offset_B -= _middle(bin_B)
        for moment in moments:
            moment += np.bincount(bin_B, weight_B, num_bins)
            weight_B *= offset_B
    return bin_C, log_rate_C, moments


def _middle(bins: NDArray[np.integer]) -> Array:
    return (bins.astype(np.float64) + 0.5) * -BIN_WIDTH


def _near_middle(epochs_B: Array, first_B: Array, offset_B: Array, pool_B: Array) -> tuple[Array, Array]:
    """Tokens drawn from cells and their growth with log tau, from the epochs and growth at the middles of their bins:
    epochs + first d + second d^2/2 + second (1 - 2 first) d^3/6, in Horner's order."""
    second_B = first_B * (1.0 - first_B)
    series_B = 0.5 - first_B
    series_B *= offset_B
    series_B *= 1 / 3
    series_B += 1 / 2
    second_B *= offset_B
    series_B *= second_B
    series_B += first_B
    series_B *= offset_B
    series_B += epochs_B
    series_B *= pool_B
    second_B += first_B
    second_B *= pool_B
    return series_B, second_B
