"""RegMix over consoles: random constant weights, a regression of what they gain, and the weights it thinks best."""

import copy

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from stable_baselines3.common.callbacks import BaseCallback

from ..actors.schedule_actor import ScheduleActor
from .cma_es import standardised
from .regression import random_strengths
from .search import Array, EpisodeSearch, load

SIMULATED, TOP = 20_000, 128  # weights that the regression is asked about, and how many of the best are averaged
LEAST_SHARE = 1e-6  # of a family, so that its logarithm is a number


class RegMix(EpisodeSearch):
    """RegMix (Liu et al. 2024, arXiv 2407.01492), with weights of agents' families in place of domains' and many
    scenarios in place of one: every slot tries random constant weights of its own for an episode; its return,
    standardised within its group, is regressed on the weights in force by gradient-boosted trees; the mean of the
    `TOP` best of `SIMULATED` random weights is what is learned. Their distribution is regression.py's, over families.
    The trees are scikit-learn's, of which the numbers are its defaults but for the small steps (assumed)."""

    def set_up_search(self, rng: np.random.Generator) -> None:
        assert isinstance(self.policy.actor, ScheduleActor)
        self.rng, self.explained = rng, 0.0
        self._candidate = copy.deepcopy(self.policy.actor)
        self._tried: list[Array] = []
        self._returns: list[Array] = []

    def try_round(self, callback: BaseCallback) -> Array | None:
        candidates = [as_parameters(weights) for weights in self._random(self.n_envs)]
        seen = self.seen()
        actions = self.actions_of(candidates, self._candidate, seen)
        returns_N = self.play(lambda _: actions, callback)
        if returns_N is None:
            return None
        in_force = self._candidate.weights_of(actions, seen.mask)
        self._tried.append(self._candidate.by_family(in_force))
        self._returns.append(standardised(returns_N.reshape(-1, self.group_size)).reshape(-1))
        load(self.policy.actor, as_parameters(self.best()))
        return returns_N

    def best(self) -> Array:
        """Weights of the families, (F,), that sum to the strength."""
        trees = HistGradientBoostingRegressor(learning_rate=0.03, random_state=0)
        tried, returns = np.concatenate(self._tried), np.concatenate(self._returns)
        trees.fit(tried, returns)
        self.explained = float(trees.score(tried, returns))
        simulated = self._random(SIMULATED)
        top = np.argsort(-trees.predict(simulated), kind="stable")[:TOP]
        return np.asarray(simulated[top].mean(0))

    def values_to_log(self) -> dict[str, float]:
        return {"train/explained": self.explained}

    def _random(self, count: int) -> Array:
        """Weights of the families, (count, F): strength log-uniform, shares Dirichlet of about one family's."""
        families = len(self._candidate.config.families)
        strengths = random_strengths(count, self.rng)[:, None]
        return np.asarray(strengths * self.rng.dirichlet(np.full(families, 1 / families), count))


def as_parameters(weights_F: Array) -> Array:
    """What a ScheduleActor of one knot has for these weights: the strength's log-odds, and log-shares."""
    strength = weights_F.sum()
    shares = np.maximum(weights_F / strength, LEAST_SHARE)
    return np.append(np.log(strength / (1 - strength)), np.log(shares))
