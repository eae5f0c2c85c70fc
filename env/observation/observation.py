"""What a policy sees: named, dimensionless, bounded features of every agent and of the training.

Nothing here reveals the size of the model and nothing derives from the control run, which a target does not have. The
two tables are the whole truth: features.py computes exactly their rows, in their order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Feature:
    """One named number of the observation. `low` and `high` are hard bounds: values are clipped to them."""

    name: str
    low: float
    high: float
    meaning: str


AGENT_FEATURES: tuple[Feature, ...] = (
    Feature("is_null", 0, 1, "1 for the agent that selects nothing, else 0"),
    Feature("moves", 0, 1, "1 if feedback moves the agent's priorities, 0 if they are static"),
    Feature("weight", 0, 1, "the console weight now in force (before the first decision: that of action 0)"),
    Feature("draw_mean", -5, 5, "mean standardised score of the cells under the present draw (corpus mean = 0)"),
    Feature("draw_spread", 0, 5, "deviation of the standardised score under the present draw (corpus = 1)"),
    Feature("lift_mean", -5, 5, "mean standardised score of the reference tasks' validation documents"),
    Feature(
        "lift_useful", 0, 5, "mean over reference tasks of the score's positive part: wrong for one, right for one"
    ),
    Feature("lift_log", -3, 2, "log of lift_useful (at least .05): trust linear in it goes by a power of the lift"),
    Feature("lift_min", -5, 5, "as lift_mean, the lowest over the reference tasks in play"),
    Feature("agreement", -1, 1, "correlation of scores with measured influence, pooled over the probes so far"),
    Feature("agreement_t", -1, 1, "t-statistic of that correlation, divided by 10"),
    Feature("agreement_allowed", -1.5, 1.5, "agreement over the most that the noise of measured influence allows"),
    Feature("agreement_task_mean", -1, 1, "correlation of scores with the influence on one reference task, their mean"),
    Feature("agreement_task_min", -1, 1, "the same, the lowest of the reference tasks in play"),
    Feature("ridge", -2, 2, "coefficient of the agent's score in a joint ridge regression of influence on all scores"),
    Feature("drift", 0, 3, "root mean square change of the standardised scores by the last probe, over the corpus"),
    Feature("seen_gap", -3, 3, "loss on seen minus unseen windows of the last probe in cells it favours, nats"),
    Feature("paper_reward", -5, 5, "R_A of arXiv 2410.08102 eq. 7 over the last probe, influence in units of its rms"),
    Feature("mix_correlation", -1, 1, "token-weighted correlation of the agent's score with the console's mixed score"),
    Feature("epochs_used", 0, 5, "log(1 + epochs) already used of the cells the agent favours (score above 1)"),
    Feature("epochs_projected", 0, 5, "log(1 + epochs) of those cells if all tokens left were drawn from them alone"),
)

TRAINING_FEATURES: tuple[Feature, ...] = (
    Feature("progress", 0, 1, "share of the token budget spent"),
    Feature("lr_fraction", 0, 1, "learning rate of the coming step over its peak"),
    Feature("loss_fall", -2, 2, "fall of the validation loss in the last interval over that of the first"),
    Feature("loss_slope", -2, 2, "fall of the validation loss per unit of log tokens in the last interval, nats"),
    Feature("train_gap", -5, 5, "validation loss minus training loss of the last interval, nats"),
    Feature("scarcity", -5, 5, "log10 of tokens left in the budget over tokens of the pool not yet used"),
    Feature("effective_cells", 0, 1, "exp(entropy) of the present draw over that of the natural draw"),
    Feature("divergence", 0, 5, "Kullback-Leibler divergence of the present draw from the natural one, nats"),
    Feature("probe_error", 0, 1, "standard error of a correlation over the probe windows pooled so far"),
)


@dataclass(frozen=True)
class Observation:
    """What N policies see. agents: (N, K, F) float32; mask: (N, K) bool, True where the agent takes weight;
    training: (N, S) float32. F = len(AGENT_FEATURES), S = len(TRAINING_FEATURES); row 0 is the null agent; the row
    of an absent agent is 0."""

    agents: NDArray[np.float32]
    mask: NDArray[np.bool_]
    training: NDArray[np.float32]

    def run(self, index: int) -> "Observation":
        """The observation of run `index` alone, as N = 1."""
        one = slice(index, index + 1)
        return Observation(self.agents[one], self.mask[one], self.training[one])


def bounds(features: tuple[Feature, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(low, high), each (len(features),) float32."""
    return (
        np.array([feature.low for feature in features], np.float32),
        np.array([feature.high for feature in features], np.float32),
    )


def column(features: tuple[Feature, ...], name: str) -> int:
    """The position of the feature called `name`."""
    return [feature.name for feature in features].index(name)
