"""How similar each cell is to each reference task, by the labels alone."""

import numpy as np
from numpy.typing import NDArray

MAX_RATIO = 10.0  # at most so much more, or less, does a category count in a task than in the corpus


def label_log_ratios(
    labels_CA: NDArray[np.uint16],
    natural_C: NDArray[np.float64],
    reference_labels_DA: NDArray[np.uint16],
    reference_share_TD: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log of the share of a cell's category in a reference task over its share in the corpus, the mean over label
    columns, (C, T)."""
    ratios = []
    for label_C, label_D in zip(labels_CA.T.astype(np.intp), reference_labels_DA.T.astype(np.intp), strict=True):
        count = int(max(label_C.max(), label_D.max())) + 1
        natural = np.bincount(label_C, natural_C, count)
        reference = np.stack([np.bincount(label_D, share, count) for share in reference_share_TD], 1)
        ratio = reference / np.maximum(natural, 1e-12)[:, None]
        ratios.append(np.log(np.clip(ratio, 1 / MAX_RATIO, MAX_RATIO))[label_C])
    return np.asarray(np.mean(ratios, 0), np.float64)
