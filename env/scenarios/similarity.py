"""How like the reference tasks each cell is, read from the labels alone."""

import numpy as np
from numpy.typing import NDArray

MAX_RATIO = 10.0  # a category counts for at most this many times more, or less, in a reference task than in the corpus


def label_log_ratios(
    labels_CA: NDArray[np.uint16],
    natural_C: NDArray[np.float64],
    reference_labels_RA: NDArray[np.uint16],
    reference_share_TR: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Log of how much likelier a cell's categories are in a reference task than in the corpus, the mean over label
    columns -> (C, T)."""
    ratios = []
    for label_C, label_R in zip(labels_CA.T.astype(np.intp), reference_labels_RA.T.astype(np.intp), strict=True):
        count = int(max(label_C.max(), label_R.max())) + 1
        natural = np.bincount(label_C, natural_C, count)
        reference = np.stack([np.bincount(label_R, share, count) for share in reference_share_TR], 1)
        ratio = reference / np.maximum(natural, 1e-12)[:, None]
        ratios.append(np.log(np.clip(ratio, 1 / MAX_RATIO, MAX_RATIO))[label_C])
    return np.asarray(np.mean(ratios, 0), np.float64)
