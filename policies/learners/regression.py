r"""Contextual regression: try constant weights on many scenarios, and regress their gains on weights and observation.

Of this project, without a paper: ridge regression of the gain on terms of the weights and the first observation
(gain_actor.py). The weights are those of which it expects most; it does not stay near a rule.

Settings: strengths below those where noise was measured to grow (experiments/RESULTS.md); the penalty by
cross-validation over scenarios; the terms are assumed.

Evidence: it fails, and is kept as a rival. 24 development scenarios: gain over natural .051 [-.083, .157] nats, the
lift rule .195. It takes the weights of which 45 coefficients, fitted on 40 scenarios, expect most, and so their errors
(experiments/results/2026-11-28-regression/, commit f69bfeb):

    pretraingym train-console --learn.algorithm regression \
        --corpus runs/tasks --learn.groups 4 --learn.group-size 8 \
        --learn.distribution.vary reference pool text agents rate \
        --learn.distribution.references lambada squad code docs web wikipedia stackexchange \
        --learn.episodes 320 --learn.seed 1

`experiments/results/corpora/ten-tasks.sh` builds `runs/tasks`.
"""

from dataclasses import dataclass

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from ...env.console.action_map import ActionMap
from ..actors.actor import ObservationTensors, as_actions
from ..actors.gain_actor import GainActor, GainConfig
from ..base import mix, others
from .search import Array, EpisodeSearch
from .start import Start

RIDGES = np.geomspace(1e-3, 10.0, 9)  # penalties, where each column of the design has mean square 1
RANDOM_STRENGTHS = 0.03, 0.6  # log-uniform: above, noise is four times as large and nearly all lose (RESULTS.md)


@dataclass(frozen=True)
class Trials:
    """Runs under constant weights. design: what their gains are to be regressed on, (N, terms); gain: in nats, (N,);
    scenario: the number of each run's, (N,)."""

    design: Array
    gain: Array
    scenario: np.ndarray

    def fit(self) -> tuple[Array, float]:
        """(coefficients, share of the gains' variance within scenarios that they explain of left-out scenarios).

        Ridge regression on columns scaled to mean square 1. Each scenario's runs are divided by their root mean square
        gain, or a few scenarios where much can be gained or lost would outweigh the others. The penalty is the best of
        RIDGES, by leaving out a tenth of the scenarios at a time."""
        scale = np.maximum(np.sqrt((self.design**2).mean(0)), 1e-9)
        names, of_run = np.unique(self.scenario, return_inverse=True)
        spread = np.sqrt(np.bincount(of_run, self.gain**2) / np.bincount(of_run))
        unit = 1 / np.maximum(spread, 0.25 * np.median(spread))[of_run]
        x, y = self.design / scale * unit[:, None], self.gain * unit
        folds = of_run % min(10, len(names))
        left_out = np.zeros((len(RIDGES), len(y)))
        for fold in np.unique(folds) if len(names) > 1 else ():  # one scenario tells nothing of another
            fitted = folds != fold
            for index, ridge in enumerate(RIDGES):
                left_out[index, ~fitted] = x[~fitted] @ _solve(x[fitted], y[fitted], ridge)
        best = int(((left_out - y) ** 2).sum(1).argmin()) if len(names) > 1 else -1
        within = [
            values - (np.bincount(of_run, values) / np.bincount(of_run))[of_run] for values in (y, left_out[best])
        ]
        explained = 1 - ((within[0] - within[1]) ** 2).sum() / max((within[0] ** 2).sum(), 1e-12)
        return _solve(x, y, RIDGES[best]) / scale, float(explained)


class GainRegression(EpisodeSearch):
    """A round tries constant weights on new scenarios: random ones, and, once there is a regression, in two slots of
    every group the weights that it thinks best (in one of the two mixed with random ones)."""

    def set_up_search(self, rng: np.random.Generator) -> None:
        self.rng, self.round, self.explained = rng, 0, 0.0
        self._designs: list[Array] = []
        self._gains: list[Array] = []

    def try_round(self, callback: BaseCallback) -> Array | None:
        seen = self.seen()
        weights_NK = self._weights(seen)
        actor = self.policy.actor
        assert isinstance(actor, GainActor)
        log_weights = torch.from_numpy(np.log(np.maximum(weights_NK, 1e-9))).float()
        actions = as_actions(log_weights, seen.mask, actor.action_map)
        returns_N = self.play(lambda _: actions, callback)
        if returns_N is None:
            return None
        in_force = torch.from_numpy(actor.weights_of(actions, seen.mask)).float()
        with torch.no_grad():
            design = actor.design(in_force, *seen)
        self._designs.append(design.double().numpy())
        self._gains.append(returns_N)
        self.round += 1
        coefficients, self.explained = self.trials().fit()
        with torch.no_grad():
            actor.coefficients.copy_(torch.from_numpy(coefficients))
        return returns_N

    def trials(self) -> Trials:
        """All that was tried."""
        per_round = len(self._gains[0]) // self.group_size
        scenario = np.repeat(np.arange(self.round * per_round), self.group_size)
        return Trials(np.concatenate(self._designs), np.concatenate(self._gains), scenario)

    def values_to_log(self) -> dict[str, float]:
        return {"train/explained": self.explained}

    def _weights(self, seen: ObservationTensors) -> Array:
        weights = random_weights(seen.mask.numpy(), self.rng)
        if self.round == 0:
            return weights
        best = self.policy.actor.weights(*seen)
        place = np.arange(len(weights)) % self.group_size
        mixed = 0.7 * best + 0.3 * weights
        return np.where((place == 0)[:, None], best, np.where((place == 1)[:, None], mixed, weights))


def no_gain(action_map: ActionMap, agents: tuple[str, ...], seed: int, start: Start) -> GainActor:
    """An actor that expects no gain of anything; of the agents, the seed and the start it knows nothing."""
    return GainActor(GainConfig(), action_map)


def random_weights(mask_NK: np.ndarray, rng: np.random.Generator) -> Array:
    """Strength log-uniform, shares over the agents present Dirichlet of a concentration of about one agent's."""
    present_NK = others(mask_NK)
    count = np.maximum(present_NK.sum(1, keepdims=True), 1)
    shares = rng.gamma(np.broadcast_to(1 / count, present_NK.shape)) + 1e-12
    shares = np.where(present_NK, shares, 0.0)
    return mix(random_strengths(len(count), rng), shares, mask_NK)


def random_strengths(count: int, rng: np.random.Generator) -> Array:
    """Log-uniform, (count,)."""
    low, high = map(float, np.log(RANDOM_STRENGTHS))
    return np.asarray(np.exp(rng.uniform(low, high, count)))


def _solve(x: Array, y: Array, ridge: float) -> Array:
    gram = x.T @ x / len(x)
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)) * np.trace(gram) / len(gram), x.T @ y / len(x)))
