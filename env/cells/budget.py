"""How a budget of tokens is spent on cells: at different rates, each of which falls as its cell is used up."""

import numpy as np
from numpy.typing import NDArray

from .blocks import blocks

Array = NDArray[np.float64]
BIN_WIDTH = 0.01  # of a bin of log rates: half of it to the fourth power, over 4!, is below 1e-10
FEW_CELLS = 1024  # for so few, computing all runs at once is faster than computing each run by its bins


def spend(log_rate_NC: Array, pool_NC: Array, budget: float) -> Array:
    """Tokens drawn from each cell in N runs, (N, C): pool * log(1 + tau * rate), with the time tau at which a run's sum
    is `budget`, to a billionth of it. Overwrites `log_rate_NC`, because fresh memory for arrays of many cells would
    cost more than the rest.

    Where there are more cells than bins of log rates, epochs are computed for the bins, and those of a cell by a Taylor
    series about the middle of its bin. That is as exact as a logarithm and an exponential for each cell, in a third of
    the time."""
    log_rate_NC -= log_rate_NC.max(1, keepdims=True)
    # The same product as in `_binned`: a division may round otherwise.
    num_bins_N = (log_rate_NC.min(1) * (-1 / BIN_WIDTH)).astype(np.int64) + 1
    few_N = num_bins_N >= (log_rate_NC.shape[1] if log_rate_NC.shape[1] > FEW_CELLS else 0)
    spent_NC = np.empty(pool_NC.shape)
    if few_N.any():
        rate_NC, few_pool_NC = log_rate_NC[few_N], pool_NC[few_N]
        log_tau_N = _log_tau(rate_NC, few_pool_NC, budget)
        spent_NC[few_N] = few_pool_NC * _epochs(rate_NC + log_tau_N[:, None])[0]
    for run in np.flatnonzero(~few_N):
        _spend_by_bins(log_rate_NC[run], pool_NC[run], budget, int(num_bins_N[run]), spent_NC[run])
    return spent_NC


def _spend_by_bins(log_rate_C: Array, pool_C: Array, budget: float, num_bins: int, spent_C: Array) -> None:
    """`spend` of one run, written into `spent_C`."""
    bin_C, offset_C, moments = _binned(log_rate_C, pool_C, num_bins)
    log_tau = _log_tau_of_bins(moments, budget)
    step = np.inf
    while abs(step) >= 1e-9:  # NaN ends it too
        epochs, growth = _epochs(_middle(np.arange(num_bins)) + log_tau)
        spent = grown = 0.0
        for part in blocks(len(pool_C)):
            bins = bin_C[part]
            cell_spent, cell_growth = _near_middle(epochs[bins], growth[bins], offset_C[part], pool_C[part])
            spent_C[part] = cell_spent
            spent, grown = spent + cell_spent.sum(), grown + cell_growth.sum()
        step = (budget - spent) / grown
        log_tau += step


def _log_tau(log_rate_NC: Array, pool_NC: Array, budget: float) -> Array:
    """Log of the time at which `budget` is spent, (N,), by Newton's method. What is spent is convex and rising in it.
    The start is left of the root, because log(1 + x) <= x; the first step goes to the right of the root, and the others
    fall to it. A run that has converged stays as it is, so that its last bit does not depend on the other runs."""
    log_tau_N = np.log(budget / (pool_NC * np.exp(log_rate_NC)).sum(1))
    going_N = np.ones(len(log_tau_N), bool)
    while going_N.any():
        epochs_NC, growth_NC = _epochs(log_rate_NC + log_tau_N[:, None])
        step_N = (budget - (pool_NC * epochs_NC).sum(1)) / (pool_NC * growth_NC).sum(1)
        log_tau_N = np.where(going_N, log_tau_N + step_N, log_tau_N)
        going_N &= abs(step_N) >= 1e-7  # the next step would be about its square: nothing
    return log_tau_N


def _log_tau_of_bins(moments: Array, budget: float) -> float:
    """Log tau from the pool-weighted mean and variance of the log rates in each bin: mostly exact to 1e-10, so that one
    pass over the cells is enough."""
    some = np.flatnonzero(moments[0])
    pool, first, second = moments[:, some]
    mean = first / pool
    log_rate = _middle(some) + mean
    log_tau = _log_tau(log_rate[None], pool[None], budget)[0]
    growth = _epochs(log_rate + log_tau)[1]
    beyond_mean = (second - first * mean) * growth * (1 - growth) / 2  # that cells spend more than their bin's mean
    return float(log_tau - beyond_mean.sum() / (pool * growth).sum())


def _epochs(log_x: Array) -> tuple[Array, Array]:
    """log(1 + x), and its derivative by log x."""
    epochs = np.logaddexp(0.0, log_x)
    return epochs, np.exp(log_x - epochs)


def _binned(log_rate_C: Array, pool_C: Array, num_bins: int) -> tuple[NDArray[np.int32], Array, Array]:
    """The bin of each cell, from 0 by falling rate; how far the cell's rate is from the bin's middle (this overwrites
    the rates); and of each bin the pool and the pool's first and second moment of that distance, (3, num_bins)."""
    bin_C, moments = np.empty(len(log_rate_C), np.int32), np.zeros((3, num_bins))
    for part in blocks(len(log_rate_C)):
        bins, offset, weight = bin_C[part], log_rate_C[part], pool_C[part].copy()
        bins[:] = offset * (-1 / BIN_WIDTH)
        offset -= _middle(bins)
        for moment in moments:
            moment += np.bincount(bins, weight, num_bins)
            weight *= offset
    return bin_C, log_rate_C, moments


def _middle(bins: NDArray[np.integer]) -> Array:
    return (bins.astype(np.float64) + 0.5) * -BIN_WIDTH


def _near_middle(epochs: Array, first: Array, offset: Array, pool: Array) -> tuple[Array, Array]:
    """Tokens drawn from some cells and their growth with log tau, from the epochs and growth at the middles of their
    bins: epochs + first d + second d^2/2 + second (1 - 2 first) d^3/6, in Horner's order, d = offset."""
    second = first * (1.0 - first)
    series = 0.5 - first
    series *= offset
    series *= 1 / 3
    series += 1 / 2
    second *= offset
    series *= second
    series += first
    series *= offset
    series += epochs
    series *= pool
    second += first
    second *= pool
    return series, second
