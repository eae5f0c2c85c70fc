"""The console: agents' scores and the weights become a distribution over cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ..cells.blocks import blocks
from ..cells.budget import spend

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Console:
    """From weights and scores to a distribution over cells. The defaults of `beta` and `min_spread` are assumed."""

    beta: float = 8.0
    """log-odds that one standard deviation of the mixed score adds at strength 1, when no weight is on null"""
    min_spread: float = 0.3
    """the mixed score is divided by its spread, but not by less than this: agents that cancel out are not amplified"""
    mode: str = "softmax"
    """softmax, or topk: as arXiv 2410.08102 eq. 6, whole cells by falling mixed score, natural within them"""
    top_share: float = 0.2
    """of the pool's tokens, that topk draws from"""

    def __post_init__(self) -> None:
        if self.mode not in ("softmax", "topk"):
            raise InputError(f"console mode is '{self.mode}', expected 'softmax' or 'topk'")
        if not (0 <= self.beta < np.inf and 0 < self.min_spread < np.inf and 0 < self.top_share <= 1):
            raise InputError(
                f"console beta is {self.beta}, min_spread {self.min_spread} and top_share {self.top_share}, expected "
                "numbers from 0 up, above 0, and above 0 up to 1"
            )

    def mixed_score(self, weights_NK: Array, z_NKC: Array, natural_NC: Array) -> Array:
        """Beta * (1 - w_null) * sum_a w~_a z_a / max(sd, min_spread), (N, C). w~: weights but null's, made to sum to 1;
        sd: the sum's standard deviation over the pool's tokens."""
        strength = 1 - weights_NK[:, :1]
        shares = weights_NK[:, 1:] / np.maximum(strength, 1e-12)
        mixed_NC = np.einsum("nk,nkc->nc", shares, z_NKC[:, 1:])
        mean, square = np.zeros((2, len(mixed_NC), 1))
        for part in blocks(mixed_NC.shape[1]):
            # No product of matrices: its last bits depend on the other runs and on threads.
            weighted = mixed_NC[:, part] * natural_NC[:, part]
            mean += weighted.sum(1, keepdims=True)
            weighted *= mixed_NC[:, part]
            square += weighted.sum(1, keepdims=True)
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        mixed_NC *= self.beta * strength / np.maximum(spread, self.min_spread)
        return mixed_NC

    def shares(
        self, weights_NK: Array, z_NKC: Array, natural_NC: Array, pool_NC: Array, epochs_NC: Array, budget: float
    ) -> Array:
        """Share of each cell in the coming `budget` tokens, (N, C); a run's sum to 1.

        Tokens are drawn by p ~ pool * exp(score - epochs), where epochs go up with every token and not once an
        interval: d epochs / d tau = exp(score - epochs) has the solution
        epochs(tau) = log(exp(epochs) + tau exp(score)), and `spend` finds the tau at which the budget is spent. So a
        cell cannot be used up many times within an interval, and the length of intervals does not change the mixture.
        epochs: how often a cell's pool has been drawn. topk counts neither epochs nor budget.
        """
        score_NC = self.mixed_score(weights_NK, z_NKC, natural_NC)
        if self.mode == "topk":
            return _top_shares(score_NC, pool_NC, self.top_share)
        score_NC -= epochs_NC
        spent_NC = spend(score_NC, pool_NC, budget)
        return np.divide(spent_NC, spent_NC.sum(1, keepdims=True), out=score_NC)


def _top_shares(score_NC: Array, pool_NC: Array, top_share: float) -> Array:
    order = np.argsort(-score_NC, axis=1, kind="stable")
    tokens = np.take_along_axis(pool_NC, order, 1)
    before = np.cumsum(tokens, 1) - tokens
    room = np.clip(top_share * pool_NC.sum(1, keepdims=True) - before, 0, tokens)
    shares = np.empty_like(room)
    np.put_along_axis(shares, order, room, 1)
    return shares / shares.sum(1, keepdims=True)
