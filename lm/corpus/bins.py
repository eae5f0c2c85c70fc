"""From scores of documents to a few categories."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..io.errors import InputError
from .corpus import Labels

QUINTILES = (0.2, 0.4, 0.6, 0.8)
MISSING = "missing"


def quantile_cuts(
    scores: NDArray[np.float64], sizes: NDArray[np.int64], train: range, shares: Sequence[float] = QUINTILES
) -> tuple[float, ...]:
    """Where to cut scores (D,) so that below each cut lies its share (in (0, 1), rising) of the training text; each
    document is weighted by its size (D,). There are fewer cuts where equal scores would leave a bin empty. NaN scores
    are left out."""
    score, size = scores[train.start : train.stop], sizes[train.start : train.stop].astype(np.float64)
    known = np.isfinite(score)
    score, size = score[known], size[known]
    if not len(score):
        raise InputError("no training document has a score; name a column that has some, or leave it out")
    order = np.argsort(score, kind="stable")
    share = np.cumsum(size[order]) / size.sum()
    places = np.minimum(np.searchsorted(share, shares), len(order) - 1)
    cuts = np.unique(score[order][places])
    return tuple(cuts[cuts > score[order[0]]].tolist())


def quantile_bins(
    scores: NDArray[np.float64], sizes: NDArray[np.int64], train: range, shares: Sequence[float] = QUINTILES
) -> Labels:
    """Categories between cuts at those shares of the training text: `bin_scores` at `quantile_cuts`."""
    return bin_scores(scores, sizes, train, quantile_cuts(scores, sizes, train, shares))


def bin_scores(scores: NDArray[np.float64], sizes: NDArray[np.int64], train: range, cuts: Sequence[float]) -> Labels:
    """Categories between `cuts` (rising). A score equal to a cut is in the bin above it, so that one at the top of its
    scale is in the top bin. A bin's value is the mean score of its training text (of an empty bin: its edge, or the
    nearest one). Documents without a score (NaN) form the category "missing", whose value is the mean score, so that
    they are neither favoured nor avoided."""
    labels = np.searchsorted(np.asarray(cuts, np.float64), scores, side="right").astype(np.uint16)
    missing = np.isnan(scores)
    known = ~missing[train.start : train.stop]
    label, score = labels[train.start : train.stop][known], scores[train.start : train.stop][known]
    size = sizes[train.start : train.stop][known].astype(np.float64)
    total = np.bincount(label, size, len(cuts) + 1)
    edges = np.clip(np.arange(len(cuts) + 1) - 1, 0, None)
    fallback = np.asarray(cuts, np.float64)[edges] if len(cuts) else np.zeros(1)
    values = np.where(total > 0, np.bincount(label, size * score, len(cuts) + 1) / np.maximum(total, 1e-300), fallback)
    ends = ["lowest", *(f"{cut:.4g}" for cut in cuts), "highest"]
    names = [f"{low} to {high}" for low, high in pairwise(ends)]
    if missing.any():
        labels[missing] = len(names)
        names.append(MISSING)
        values = np.append(values, np.average(score, weights=size) if len(score) else 0.0)
    return Labels(tuple(names), tuple(values.tolist()), labels)
