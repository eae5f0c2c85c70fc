"""Console weights: of each run, a point of the simplex over the agents that are present."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError

Array = NDArray[np.float64]


def natural_weights(num_runs: int, num_agents: int) -> Array:
    """All weight on null, which selects nothing: (N, K)."""
    weights = np.zeros((num_runs, num_agents))
    weights[:, 0] = 1.0
    return weights


def check_weights(weights_NK: Array, mask_NK: NDArray[np.bool_]) -> Array:
    """`weights_NK` as float64, if each run's lie on the simplex over its present agents; else InputError."""
    weights = np.asarray(weights_NK, np.float64)
    if weights.shape != mask_NK.shape:
        raise InputError(f"weights have shape {weights.shape}, expected {mask_NK.shape}: one a run and agent")
    if not np.isfinite(weights).all():
        raise InputError("weights contain NaN or infinity, expected finite numbers: check the policy's output")
    if (weights < 0).any() or (abs(weights.sum(1) - 1) > 1e-6).any() or weights[~mask_NK].any():
        worst = weights[np.argmax(abs(weights.sum(1) - 1) + (weights < 0).any(1))]
        raise InputError(
            f"weights {np.round(worst, 4).tolist()} are not a simplex over the present agents: sum to 1, none below 0"
        )
    return weights
