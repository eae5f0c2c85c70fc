"""The probe: a stratified sample of windows whose influence is measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..lm.hashing import Words, stream, uniforms
from .cell_draws import CellDraws


@dataclass(frozen=True)
class ProbeSample:
    """Windows of S runs' pools: ids, cell, share and seen, each (S, P); share-weighted means estimate means over the
    corpus's tokens, shares sum to 1 a run; seen: whether the run has drawn the window."""

    ids: NDArray[np.int64]
    cell: NDArray[np.int64]
    share: NDArray[np.float64]
    seen: NDArray[np.bool_]


def sample_probe(draws: CellDraws, slots: NDArray[np.intp], count: int, key_S: Words) -> ProbeSample:
    """Cells by systematic sampling in proportion to the square root of their tokens, so that small cells are seen and
    large ones not neglected; any window of the cell's pool. Cells are ordered by label, so neighbours are strata.
    key_S: mixed words, one a slot and call, from which all random numbers come."""
    tokens_C = draws.cells.tokens_C
    chance_C = np.sqrt(tokens_C) / np.sqrt(tokens_C).sum()
    random = uniforms(stream(key_S, count + 1))
    points = (np.arange(count) + random[:, -1:]) / count
    cell = np.minimum(np.searchsorted(np.cumsum(chance_C), points, side="right"), len(chance_C) - 1)
    pool = draws.pool_NC[slots[:, None], cell]
    # In the first epoch's order, so that those drawn come first.
    turn = (random[:, :-1] * pool).astype(np.int64)
    weight = tokens_C[cell] / chance_C[cell]
    seen = turn < draws.used_NC[slots[:, None], cell]
    return ProbeSample(draws.windows_at(slots, cell, turn), cell, weight / weight.sum(1, keepdims=True), seen)


def in_units_of_rms(influence_NP: NDArray[np.float64], share_NP: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each run's influence over its root mean square, (N, P); NaN in a whole run with a non-finite or zero one."""
    rms = np.sqrt((share_NP * influence_NP**2).sum(1, keepdims=True))
    usable = np.isfinite(rms) & (rms > 0)
    return np.where(usable, influence_NP / np.where(usable, rms, 1.0), np.nan)
