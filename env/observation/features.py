"""The features of an observation: a row each, with bounds, typical values, meaning and formula.

All are dimensionless or in nats, bounded, and finite. Nothing here reveals the size of the model, and nothing derives
from the control run, which a target does not have. To add a feature, add a row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..cells.category_sums import category_sums
from .influence_moments import InfluenceMoments
from .loss_history import LossHistory

Array = NDArray[np.float64]
SURE = 2.0  # standard errors: an agent that ranks the reference text as the corpus has this lift in 2% of draws
T_UNIT = 10.0  # the t-statistic of agreement is observed in units of so much
FAVOURED = 1.0  # a cell is favoured by an agent whose standardised score there is above this


@dataclass(frozen=True)
class Feature:
    """One named number of the observation. `low` and `high` are hard bounds: values are clipped to them.

    typical: mean and standard deviation over the agents and intervals of 8 scenarios of the default corpus under random
    weights (measured once, two digits). Actors work in these units, which makes one step of a learner, or one standard
    deviation of a search, mean about the same for every feature. is_null is constant there.

    formula: from what is known of N runs to the feature, (N, K) of agents or (N,) of the training."""

    name: str
    low: float
    high: float
    typical: tuple[float, float]
    formula: Callable[["Known"], Array]
    meaning: str
    unit: str = "1"  # a ratio, share, logarithm or score in deviations


@dataclass(frozen=True)
class Draw:
    """How N runs draw: shares_NC of the present mixture; tokens used and in the pool, and the pool's natural shares,
    each (N, C); tokens left in the budget (N,)."""

    shares_NC: Array
    used_NC: Array
    pool_NC: Array
    natural_NC: Array
    tokens_left_N: Array


@dataclass(frozen=True)
class Known:
    """What the features of N runs are computed from. z_NKC: standardised scores of the cells; mixed_NC: the console's
    mixed score; lift_NKT: mean standardised score of each reference task's validation documents; lift_error_NKT:
    its standard error; moves_NK: 1 for an agent that feedback moves. drift, seen gap and paper reward are of the
    last probe."""

    z_NKC: Array
    mixed_NC: Array
    lift_NKT: Array
    lift_error_NKT: Array
    task_weights_NT: Array
    moves_NK: Array
    weights_NK: Array
    drift_NK: Array
    seen_gap_NK: Array
    paper_reward_NK: Array
    moments: InfluenceMoments
    draw: Draw
    progress_N: Array
    lr_fraction_N: Array
    train_loss_N: Array
    history: LossHistory

    @property
    def num_agents(self) -> int:
        return self.z_NKC.shape[1]

    @property
    def in_play_NT(self) -> NDArray[np.bool_]:
        """Which reference tasks the scenario weighs."""
        return self.task_weights_NT > 0

    @cached_property
    def draw_mean_NK(self) -> Array:
        return np.einsum("nkc,nc->nk", self.z_NKC, self.draw.shares_NC)

    @cached_property
    def draw_spread_NK(self) -> Array:
        square_NK = np.einsum("nkc,nc->nk", self.z_NKC**2, self.draw.shares_NC)
        return np.sqrt(np.maximum(square_NK - self.draw_mean_NK**2, 0))

    @cached_property
    def useful_NK(self) -> Array:
        """Mean over the tasks in play of the lift's positive part."""
        return np.einsum("nkt,nt->nk", np.maximum(self.lift_NKT, 0), self.task_weights_NT)

    @cached_property
    def lift_error_NK(self) -> Array:
        """Standard error of the mean lift over the tasks in play."""
        return np.sqrt(np.einsum("nkt,nt->nk", self.lift_error_NKT**2, self.task_weights_NT**2))

    @cached_property
    def lift_NK(self) -> Array:
        """Mean lift over the tasks in play."""
        return np.einsum("nkt,nt->nk", self.lift_NKT, self.task_weights_NT)

    @cached_property
    def agreement_NK(self) -> Array:
        return self.moments.agreement()

    @cached_property
    def task_agreement_NTK(self) -> Array:
        return self.moments.task_agreement()

    @cached_property
    def favoured_epochs_NK(self) -> tuple[Array, Array]:
        """Epochs used, and used and projected, of the cells each agent favours (all cells if it favours none)."""
        favoured_NKC = (self.z_NKC > FAVOURED).astype(np.float64)
        favoured_NKC[favoured_NKC.sum(2) == 0] = 1.0
        pool_NK = np.maximum(np.einsum("nkc,nc->nk", favoured_NKC, self.draw.pool_NC), 1.0)
        used_NK = np.einsum("nkc,nc->nk", favoured_NKC, self.draw.used_NC)
        return used_NK / pool_NK, (used_NK + self.draw.tokens_left_N[:, None]) / pool_NK

    @cached_property
    def last_fall_N(self) -> Array:
        """Fall of the validation loss in the last interval, nats."""
        return self.history.last_start_N - self.history.last_end_N

    @cached_property
    def safe_shares_NC(self) -> Array:
        """Shares of the present mixture, above 0 so that they have a logarithm."""
        return np.maximum(self.draw.shares_NC, 1e-300)

    @cached_property
    def safe_natural_NC(self) -> Array:
        """Natural shares of the pool, above 0 so that they have a logarithm."""
        return np.maximum(self.draw.natural_NC, 1e-300)


def _agreement_t(s: Known) -> Array:
    error = s.moments.error()[:, None]
    return s.agreement_NK / (error * np.sqrt(np.maximum(1 - s.agreement_NK**2, 1e-6))) / T_UNIT


def _agreement_task_mean(s: Known) -> Array:
    in_play = s.in_play_NT[..., None]
    return (s.task_agreement_NTK * in_play).sum(1) / np.maximum(in_play.sum(1), 1)


def _mix_correlation(s: Known) -> Array:
    natural_NC = s.draw.natural_NC
    mixed_NC = s.mixed_NC - (s.mixed_NC * natural_NC).sum(1, keepdims=True)
    spread = np.sqrt((mixed_NC**2 * natural_NC).sum(1, keepdims=True))
    covariance_NK = np.einsum("nkc,nc->nk", s.z_NKC, mixed_NC * natural_NC)
    return np.where(spread > 1e-9, covariance_NK / np.maximum(spread, 1e-9), 0.0)


def _loss_fall(s: Known) -> Array:
    first_N = s.history.first_start_N - s.history.first_end_N
    told_N = abs(first_N) > 1e-6
    return np.where(told_N, s.last_fall_N / np.where(told_N, first_N, 1), 0.0)


def _loss_slope(s: Known) -> Array:
    log_tokens_N = np.log(np.maximum(s.history.tokens_end_N, 1) / np.maximum(s.history.tokens_start_N, 1))
    return np.where(log_tokens_N > 0, s.last_fall_N / np.maximum(log_tokens_N, 1e-9), 0.0)


def _scarcity(s: Known) -> Array:
    unused_N = np.maximum((s.draw.pool_NC - s.draw.used_NC).clip(0).sum(1), 1.0)
    return np.log10(np.maximum(s.draw.tokens_left_N, 1) / unused_N)


def _effective_cells(s: Known) -> Array:
    natural_entropy_N = -(s.draw.natural_NC * np.log(s.safe_natural_NC)).sum(1)
    entropy_N = -(s.draw.shares_NC * np.log(s.safe_shares_NC)).sum(1)
    return np.exp(entropy_N - natural_entropy_N)


def _divergence(s: Known) -> Array:
    return (s.draw.shares_NC * np.log(s.safe_shares_NC / s.safe_natural_NC)).sum(1)


# fmt: off
AGENT_FEATURES: tuple[Feature, ...] = (
    Feature(
        "is_null", 0, 1, (0.0, 1.0), lambda s: np.broadcast_to(np.arange(s.num_agents) == 0, s.weights_NK.shape),
        "1 for the agent that selects nothing, else 0",
    ),
    Feature(
        "moves", 0, 1, (0.5, 0.5), lambda s: s.moves_NK,
        "1 if feedback moves the agent's priorities, 0 if they are static",
    ),
    Feature(
        "weight", 0, 1, (0.06, 0.07), lambda s: s.weights_NK,
        "console weight in force (before the first decision: that of action 0)",
    ),
    Feature(
        "draw_mean", -5, 5, (0.47, 0.58), lambda s: s.draw_mean_NK,
        "mean standardised score of the cells under the present draw (corpus mean = 0)",
    ),
    Feature(
        "draw_spread", 0, 5, (0.81, 0.23), lambda s: s.draw_spread_NK,
        "deviation of the standardised score under the present draw (corpus = 1)",
    ),
    Feature(
        "lift_mean", -5, 5, (0.75, 0.69), lambda s: s.lift_NK,
        "mean standardised score of the reference tasks' validation documents",
    ),
    Feature(
        "lift_useful", 0, 5, (0.9, 0.7), lambda s: s.useful_NK,
        "mean over reference tasks of the positive part of the lift",
    ),
    Feature(
        "lift_log", -3, 2, (-0.7, 1.1), lambda s: np.log(np.maximum(s.useful_NK, 0.05)),
        "log of lift_useful, which counts as .05 at least",
    ),
    Feature(
        "lift_min", -5, 5, (0.61, 0.78), lambda s: np.where(s.in_play_NT[:, None], s.lift_NKT, np.inf).min(2),
        "lift_mean of the reference task in play where it is lowest",
    ),
    Feature(
        "lift_error", 0, 5, (0.1, 0.1), lambda s: s.lift_error_NK,
        "standard error of lift_mean, from the spread between documents",
    ),
    Feature(
        "lift_sure", 0, 5, (0.8, 0.7), lambda s: np.maximum(s.lift_NK - SURE * s.lift_error_NK, 0),
        "lift_mean less two standard errors, 0 at least: what is sure of it",
    ),
    Feature(
        "agreement", -1, 1, (0.08, 0.16), lambda s: s.agreement_NK,
        "correlation of scores with measured influence, pooled over the probes so far",
    ),
    Feature(
        "agreement_t", -1, 1, (0.12, 0.24), _agreement_t,
        "t-statistic of that correlation, divided by 10",
    ),
    Feature(
        "agreement_allowed", -1.5, 1.5, (0.13, 0.45), lambda s: s.agreement_NK / s.moments.ceiling()[:, None],
        "agreement over the most that the noise of measured influence allows",
    ),
    Feature(
        "agreement_task_mean", -1, 1, (0.04, 0.18), _agreement_task_mean,
        "agreement with the influence on one task: mean over those in play",
    ),
    Feature(
        "agreement_task_min", -1, 1, (0.0, 0.2),
        lambda s: np.where(s.in_play_NT[..., None], s.task_agreement_NTK, np.inf).min(1),
        "agreement with the influence on one task: lowest of those in play",
    ),
    Feature(
        "ridge", -2, 2, (0.03, 0.11), lambda s: s.moments.ridge(),
        "coefficient of its score in a joint ridge regression of influence on all scores",
    ),
    Feature(
        "drift", 0, 3, (0.4, 0.5), lambda s: s.drift_NK,
        "root mean square change of its standardised scores by the last probe, over the corpus",
    ),
    Feature(
        "seen_gap", -3, 3, (-0.2, 0.4), lambda s: s.seen_gap_NK,
        "loss on seen minus unseen windows of the last probe in cells it favours", "nats",
    ),
    Feature(
        "paper_reward", -5, 5, (0.18, 0.36), lambda s: s.paper_reward_NK,
        "R_A of arXiv 2410.08102 eq. 7 over the last probe, influence over its rms",
    ),
    Feature(
        "mix_correlation", -1, 1, (0.53, 0.28), _mix_correlation,
        "token-weighted correlation of its score with the console's mixed score",
    ),
    Feature(
        "epochs_used", 0, 5, (0.12, 0.17), lambda s: np.log1p(s.favoured_epochs_NK[0]),
        "log(1 + epochs) already used of the cells the agent favours (score above 1)",
    ),
    Feature(
        "epochs_projected", 0, 5, (0.45, 0.43), lambda s: np.log1p(s.favoured_epochs_NK[1]),
        "log(1 + epochs) of those cells if all tokens left were drawn from them alone",
    ),
)

TRAINING_FEATURES: tuple[Feature, ...] = (
    Feature(
        "progress", 0, 1, (0.44, 0.28), lambda s: s.progress_N,
        "share of the token budget spent",
    ),
    Feature(
        "lr_fraction", 0, 1, (0.50, 0.21), lambda s: s.lr_fraction_N,
        "learning rate of the coming step over its peak",
    ),
    Feature(
        "loss_fall", -2, 2, (0.22, 0.35), _loss_fall,
        "fall of the validation loss in the last interval over that of the first",
    ),
    Feature(
        "loss_slope", -2, 2, (0.44, 0.36), _loss_slope,
        "fall of the validation loss per unit of log tokens in the last interval", "nats",
    ),
    Feature(
        "train_gap", -5, 5, (-0.05, 0.17), lambda s: s.history.last_end_N - s.train_loss_N,
        "validation loss minus training loss of the last interval, nats",
    ),
    Feature(
        "scarcity", -5, 5, (-1.35, 0.66), _scarcity,
        "log10 of tokens left in the budget over tokens of the pool not yet used",
    ),
    Feature(
        "effective_cells", 0, 1, (0.54, 0.35), _effective_cells,
        "exp(entropy) of the present draw over that of the natural draw",
    ),
    Feature(
        "divergence", 0, 5, (1.27, 1.09), _divergence,
        "Kullback-Leibler divergence of the present draw from the natural one", "nats",
    ),
    Feature(
        "probe_error", 0, 1, (0.08, 0.02), lambda s: s.moments.error(),
        "standard error of a correlation over the probe windows pooled so far",
    ),
)
# fmt: on


def computed(features: tuple[Feature, ...], known: Known) -> NDArray[np.float32]:
    """The values of AGENT_FEATURES (N, K, F) or of TRAINING_FEATURES (N, F), clipped to their bounds."""
    low, high = bounds(features)
    stacked = np.stack([feature.formula(known) for feature in features], -1)
    finite = np.nan_to_num(stacked, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.clip(finite, low, high).astype(np.float32)


def bounds(features: tuple[Feature, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(low, high), each (len(features),) float32."""
    return (
        np.array([feature.low for feature in features], np.float32),
        np.array([feature.high for feature in features], np.float32),
    )


def column(features: tuple[Feature, ...], name: str) -> int:
    """The position of the feature called `name`."""
    return [feature.name for feature in features].index(name)


def paper_rewards(
    z_NKP: Array, influence_NP: Array, label_NPA: NDArray[np.uint16], column_NK: NDArray[np.intp]
) -> Array:
    """R_A = mean over the agent's categories j of w_j * R_j (arXiv 2410.08102 eq. 7) -> (N, K).

    R_j: mean influence of the probe windows in category j; w_j: the agent's priority, here standardised. An agent that
    prioritises cells (no column, -1) has every probe window for a category of its own; null has 0."""
    num_runs, num_agents, num_windows = z_NKP.shape
    label_NKP = np.take_along_axis(label_NPA.transpose(0, 2, 1), np.maximum(column_NK, 0)[:, :, None], 1)
    label_NKP = np.where(column_NK[:, :, None] < 0, np.arange(num_windows), label_NKP.astype(np.intp))
    width = int(label_NKP.max()) + 1
    place = (label_NKP + np.arange(num_agents)[:, None] * width).reshape(num_runs, -1)
    product = (z_NKP * influence_NP[:, None]).reshape(num_runs, -1)
    sums = [category_sums(place, values, width * num_agents) for values in (np.ones_like(product), product)]
    count, total = (of_all.reshape(num_runs, num_agents, width) for of_all in sums)  # by category
    mean = total / np.maximum(count, 1)
    return np.asarray(mean.sum(2) / (count > 0).sum(2), np.float64)


def seen_gaps(z_NKP: Array, loss_NP: Array, seen_NP: NDArray[np.bool_], share_NP: Array) -> Array:
    """Mean loss of the seen minus that of the unseen windows that each agent favours -> (N, K) nats; 0 where it favours
    none of a kind. Below 0 = what was seen has been learned by heart (or only those are easy)."""
    favoured = (z_NKP > FAVOURED) * share_NP[:, None]
    seen, unseen = favoured * seen_NP[:, None], favoured * ~seen_NP[:, None]
    loss = np.nan_to_num(loss_NP)
    means = [np.einsum("nkp,np->nk", part, loss) / np.maximum(part.sum(2), 1e-12) for part in (seen, unseen)]
    return np.where((seen.sum(2) > 0) & (unseen.sum(2) > 0), means[0] - means[1], 0.0)
