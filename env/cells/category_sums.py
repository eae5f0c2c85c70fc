"""Sums by category, however many categories there are."""

import numpy as np
from numpy.typing import NDArray


def category_sums(
    labels_NP: NDArray[np.integer], weight_NP: NDArray[np.float64], num_categories: int
) -> NDArray[np.float64]:
    """Sum of the weights of the things in each category, run by run: (N, P) below num_categories, (N, P) -> (N, C).

    A run's sums do not depend on the other runs."""
    num_runs = len(labels_NP)
    place_NP = labels_NP + np.arange(num_runs)[:, None] * num_categories
    total = np.bincount(place_NP.ravel(), weight_NP.ravel(), num_runs * num_categories)
    return np.asarray(total, np.float64).reshape(num_runs, num_categories)
