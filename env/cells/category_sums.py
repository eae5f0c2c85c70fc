"""Sums by category, at a cost that does not grow with the number of categories times the number of members."""

import numpy as np
from numpy.typing import NDArray


def category_sums(labels: NDArray[np.integer], weight: NDArray[np.float64], num_categories: int) -> NDArray[np.float64]:
    """The sum of the weights of each category's members, run by run. labels: (N, M), the category of each of M members,
    below num_categories; weight: (N, M) -> (N, num_categories). A run's sums do not depend on the other runs."""
    num_runs = len(labels)
    place = labels + np.arange(num_runs)[:, None] * num_categories
    total = np.bincount(place.ravel(), weight.ravel(), num_runs * num_categories)
    return np.asarray(total, np.float64).reshape(num_runs, num_categories)
