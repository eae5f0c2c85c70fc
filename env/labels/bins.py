"""From a score a document to a few categories."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..agents.base import Annotation


def bin_scores(
    scores: NDArray[np.float64], sizes: NDArray[np.int64], train: range, edges: Sequence[float]
) -> Annotation:
    """Cut scores (D,) at those quantiles `edges` (in (0, 1), rising) of the training text, each document counted by its
    size (D,). A category's value is the mean score of its training text. Equal scores fall in one category."""
    score, size = scores[train.start : train.stop], sizes[train.start : train.stop].astype(np.float64)
    order = np.argsort(score, kind="stable")
    share = np.cumsum(size[order]) / size.sum()
    places = np.minimum(np.searchsorted(share, edges), len(order) - 1)
    cuts = np.unique(score[order][places])  # a document on a cut falls above it
    cuts = cuts[cuts > score[order[0]]]  # so that no category is empty
    labels = np.searchsorted(cuts, scores, side="right").astype(np.uint16)
    total = np.bincount(labels[train.start : train.stop], size, len(cuts) + 1)
    values = np.bincount(labels[train.start : train.stop], size * score, len(cuts) + 1) / total
    ends = ["lowest", *(f"{cut:.2f}" for cut in cuts), "highest"]
    names = tuple(f"{low} to {high}" for low, high in pairwise(ends))
    return Annotation(labels, names, tuple(values.tolist()))
