"""The probe: a stratified sample of windows whose influence is measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words, stream, uniforms
from ..cells.sampler import CellSampler


@dataclass(frozen=True)
class ProbeSample:
    """Windows of N runs' pools: ids, cell, share and seen, each (N, P); share-weighted means estimate means over the
    tokens of the run's pool, shares sum to 1 a run; seen: whether the run has drawn the window."""

    ids: NDArray[np.int64]
    cell: NDArray[np.int64]
    share: NDArray[np.float64]
    seen: NDArray[np.bool_]


def sample_probe(sampler: CellSampler, slots: NDArray[np.intp], count: int, key_N: Words) -> ProbeSample:
    """Cells by systematic sampling in proportion to the square root of their tokens, so that small cells are seen and
    large ones not neglected; any window of the cell's pool. Cells are ordered by label, so neighbours are strata.
    key_N: hashed 64-bit keys, one for each slot and call, from which all random numbers come."""
    natural_NC = sampler.natural_NC[slots]
    chance_NC = np.sqrt(natural_NC)
    chance_NC /= chance_NC.sum(1, keepdims=True)
    random = uniforms(stream(key_N, count + 1))
    points = (np.arange(count) + random[:, -1:]) / count
    cell = np.stack([_cells_at(*run) for run in zip(points, chance_NC, strict=True)])
    pool = sampler.pool_NC[slots[:, None], cell]
    # In the first epoch's order, so that those drawn come first.
    turn = sampler.first_turn_NC[slots[:, None], cell] + (random[:, :-1] * pool).astype(np.int64)
    weight = np.take_along_axis(natural_NC, cell, 1) / np.take_along_axis(chance_NC, cell, 1)
    seen = turn < sampler.used_NC[slots[:, None], cell]
    return ProbeSample(sampler.windows_at(slots, cell, turn), cell, weight / weight.sum(1, keepdims=True), seen)


def _cells_at(points_P: NDArray[np.float64], chance_C: NDArray[np.float64]) -> NDArray[np.intp]:
    """The cell in which each point of [0, 1) lies, (P,): never one without a chance."""
    edge_C = np.cumsum(chance_C)
    return np.searchsorted(edge_C, np.minimum(points_P, np.nextafter(edge_C[-1], 0)), side="right")


def in_units_of_rms(influence_NP: NDArray[np.float64], share_NP: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each run's influence over its root mean square, (N, P); NaN in a whole run with a non-finite or zero one."""
    rms = np.sqrt((share_NP * influence_NP**2).sum(1, keepdims=True))
    usable = np.isfinite(rms) & (rms > 0)
    return np.where(usable, influence_NP / np.where(usable, rms, 1.0), np.nan)
