"""What RegMix and the command `fit` share: boosted trees on tried mixtures, and the mean of the best simulated ones."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

Array = NDArray[np.float64]
SIMULATED, TOP = 20_000, 128  # mixtures that the regression is asked about, and how many of the best are averaged


def boosted_trees(**settings: Any) -> "HistGradientBoostingRegressor":
    """Trees of scikit-learn's defaults but for small steps (assumed) and `settings`."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(learning_rate=0.03, random_state=0, **settings)


def mean_of_best(simulated: Array, values: Array) -> Array:
    """The mean of the `TOP` rows of `simulated` whose values (of each row) are largest."""
    top = np.argsort(-values, kind="stable")[:TOP]
    return np.asarray(simulated[top].mean(0))
