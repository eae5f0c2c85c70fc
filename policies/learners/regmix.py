r"""RegMix (Liu et al. 2024, arXiv 2407.01492): try random constant weights, regress their returns, average the best.

Adapted: weights of agents' families in place of domains', and many scenarios in place of one, so that returns are
standardised within each group.

Settings: the trees, and how many weights are simulated and averaged, are boosted_trees.py's (assumed); the distribution
of strengths is regression.py's.

Evidence: 192 sealed scenarios, gain over natural .164 [.118, .215] nats, best-static .151
(experiments/results/2026-11-28-wide/):

    pretraingym train-console --learn.algorithm regmix \
        --corpus runs/tasks --learn.groups 8 --learn.group-size 4 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 480 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

import copy

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from ..actors.schedule_actor import ScheduleActor
from .boosted_trees import SIMULATED, boosted_trees, mean_of_best
from .cma_es import standardised
from .regression import random_strengths
from .search import Array, EpisodeSearch, load

LEAST_SHARE = 1e-6  # of a family, so that its logarithm is a number


class RegMix(EpisodeSearch):
    """Every slot tries random constant weights of its own for an episode; its return is regressed on the weights in
    force by gradient-boosted trees; the mean of the best of `SIMULATED` random weights is what is learned."""

    def set_up_search(self, rng: np.random.Generator) -> None:
        assert isinstance(self.policy.actor, ScheduleActor)
        self.rng, self.explained = rng, 0.0
        self._candidate = copy.deepcopy(self.policy.actor)
        self.tried: list[Array] = []
        self.returns: list[Array] = []

    def try_round(self, callback: BaseCallback) -> Array | None:
        candidates = [as_parameters(weights) for weights in self.to_try(self.n_envs)]
        seen = self.seen()
        actions = self.actions_of(candidates, self._candidate, seen)
        returns_N = self.play(lambda _: actions, callback)
        if returns_N is None:
            return None
        in_force = self._candidate.weights_of(actions, seen.mask)
        self.tried.append(self._candidate.by_family(in_force))
        self.returns.append(standardised(returns_N.reshape(-1, self.group_size)).reshape(-1))
        load(self.policy.actor, as_parameters(self.best()))
        return returns_N

    def to_try(self, count: int) -> Array:
        """Weights of the families for so many slots, (count, families)."""
        return self.random_weights(count)

    def best(self) -> Array:
        """A weight for each family; they sum to the strength."""
        trees = boosted_trees()
        tried, returns = np.concatenate(self.tried), np.concatenate(self.returns)
        trees.fit(tried, returns)
        self.explained = float(trees.score(tried, returns))
        simulated = self.random_weights(SIMULATED)
        return mean_of_best(simulated, trees.predict(simulated))

    def values_to_log(self) -> dict[str, float]:
        return {"train/explained": self.explained}

    def random_weights(self, count: int) -> Array:
        """Weights of the families, (count, families): strength log-uniform, shares Dirichlet of about one family's."""
        families = len(self._candidate.config.families)
        strengths = random_strengths(count, self.rng)[:, None]
        return np.asarray(strengths * self.rng.dirichlet(np.full(families, 1 / families), count))


def as_parameters(weights: Array) -> Array:
    """Parameters of a ScheduleActor of one knot for weights of families: the strength's log-odds, and log-shares."""
    strength = weights.sum()
    shares = np.maximum(weights / strength, LEAST_SHARE)
    return np.append(np.log(strength / (1 - strength)), np.log(shares))
