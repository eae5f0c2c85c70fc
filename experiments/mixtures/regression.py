"""A regression of losses on mixtures: boosted trees as RegMix has them, and a smooth function, averaged.

Trees find steps and interactions, but lag behind where losses bend smoothly; a Gaussian process is the other way round.
How much each counts is chosen by cross-validation, so that a loss which suits one of them gets that one.

Settings, chosen by cross-validation on the 512 published runs that RegMix was fitted on, never on its test runs: many
small trees; one length for all columns. experiments/results/fit.md has what else was tried.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...policies.learners.boosted_trees import boosted_trees

Array = NDArray[np.float64]
POWERS, LENGTHS, NOISES = (1 / 2, 1 / 3, 1 / 4), np.geomspace(0.1, 10.0, 10), np.geomspace(1e-6, 1.0, 19)
MOST_FITTED = 2000  # runs of the smooth part; more are drawn from
MOST_AT_ONCE = 2**24  # numbers of a kernel: 128 MiB
MOST_COMPARED = 1000  # runs on which they are compared: the work grows with the cube
LEAST_VARIANCE = 1e-30  # of the losses, so that it has a logarithm where all are equal
FOLDS = 10


class Shape(NamedTuple):
    """Of a smooth function. power: that the shares are raised to, so that from .01 to .02 is further than from .51 to
    .52; length: of its Gaussian kernel, there; noise: its variance over that of the function."""

    power: float
    length: float
    noise: float


@dataclass
class Smooth:
    """A Gaussian process with one Gaussian kernel. shape: the likeliest one unless it is given; seed: chooses the
    MOST_FITTED runs that are fitted where there are more."""

    shape: Shape | None = None
    seed: int = 0

    def fit(self, mixtures: Array, loss_N: Array, count_N: Array) -> None:
        """count_N: how many times each run counts, at least once."""
        from scipy.linalg import cho_factor, cho_solve

        if len(loss_N) > MOST_FITTED:
            some = np.sort(np.random.default_rng(self.seed).choice(len(loss_N), MOST_FITTED, replace=False))
            mixtures, loss_N, count_N = mixtures[some], loss_N[some], count_N[some]
        self._mean = float(np.average(loss_N, weights=count_N))
        self.shape = self.shape or likeliest(mixtures, loss_N - self._mean)
        self._fitted = mixtures
        kernel = self._kernel(mixtures) + np.diag(self.shape.noise / count_N)
        self._pull_N = cho_solve(cho_factor(kernel), loss_N - self._mean)

    def predict(self, mixtures: Array) -> Array:
        size = max(1, MOST_AT_ONCE // len(self._fitted))
        blocks = [mixtures[first : first + size] for first in range(0, len(mixtures), size)]
        return self._mean + np.concatenate([self._kernel(block) @ self._pull_N for block in blocks])

    def _kernel(self, mixtures: Array) -> Array:
        assert self.shape is not None
        return _kernel(_squares(mixtures, self._fitted, self.shape.power), self.shape.length)


class MixtureRegression:
    """A mixture is a row that sums to 1. trees_share: how much the trees count; shape: of the smooth part, if it is not
    to be chosen; seed: of the runs that it is fitted to where there are many."""

    def __init__(self, trees_share: float = 0.5, shape: Shape | None = None, seed: int = 0) -> None:
        self.trees_share, self.smooth = trees_share, Smooth(shape, seed)
        self.trees = boosted_trees(max_iter=1000, max_leaf_nodes=8, min_samples_leaf=10)

    def fit(self, mixtures: Array, loss_N: Array, count_N: Array | None = None) -> "MixtureRegression":
        """count_N: how many times each run counts; default: once."""
        counts = np.ones(len(loss_N)) if count_N is None else count_N
        some = counts > 0
        self.smooth.fit(mixtures[some], loss_N[some], counts[some])
        self.trees.fit(mixtures[some], loss_N[some], sample_weight=counts[some])
        return self

    def predict(self, mixtures: Array) -> Array:
        """The loss of each mixture."""
        trees, smooth = self.parts(mixtures)
        return np.asarray(self.trees_share * trees + (1 - self.trees_share) * smooth)

    def parts(self, mixtures: Array) -> tuple[Array, Array]:
        """What the trees and the smooth part predict, each alone."""
        return self.trees.predict(mixtures), self.smooth.predict(mixtures)


class HeldOut(NamedTuple):
    """What is predicted of each run by regressions on other runs. trees_share: the best one for all of them;
    predicted_N: with the share that is best for the runs of the other folds, so that no run chose its own."""

    trees_share: float
    predicted_N: Array


def numbered(mixtures: Array) -> NDArray[np.int64]:
    """The number of each run's mixture, in the order in which they come first; runs of one mixture have one number."""
    _, first, of_run_N = np.unique(mixtures, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[of_run_N.ravel()])


def held_out(mixtures: Array, loss_N: Array, seed: int) -> HeldOut:
    """Cross-validation: a tenth of the mixtures at a time, with all of their runs, is predicted by a regression on the
    rest."""
    from sklearn.model_selection import KFold

    trees_N, smooth_N, predicted_N = (np.zeros(len(loss_N)) for _ in range(3))
    number_N = numbered(mixtures)
    folds = [
        tuple(np.flatnonzero(np.isin(number_N, part)) for part in parts)
        for parts in KFold(FOLDS, shuffle=True, random_state=seed).split(np.unique(number_N))
    ]
    for rest, fold in folds:
        regression = MixtureRegression(seed=seed).fit(mixtures[rest], loss_N[rest])
        trees_N[fold], smooth_N[fold] = regression.parts(mixtures[fold])
    for rest, fold in folds:
        share = _best_share(trees_N[rest], smooth_N[rest], loss_N[rest])
        predicted_N[fold] = share * trees_N[fold] + (1 - share) * smooth_N[fold]
    return HeldOut(_best_share(trees_N, smooth_N, loss_N), predicted_N)


def likeliest(mixtures: Array, values_N: Array) -> Shape:
    """The shape of the largest marginal likelihood, in which the variance is the best one for it (Rasmussen and
    Williams 2006, 5.4.1)."""
    from scipy.linalg import eigh

    rows = np.linspace(0, len(values_N) - 1, min(len(values_N), MOST_COMPARED)).round().astype(int)
    squares = {power: _squares(mixtures[rows], mixtures[rows], power) for power in POWERS}
    misfits: dict[Shape, float] = {}
    for power, length in product(POWERS, map(float, LENGTHS)):
        scales_N, vectors = eigh(_kernel(squares[power], length))
        along_N = (vectors.T @ values_N[rows]) ** 2
        for noise in map(float, NOISES):
            spread_N = np.asarray(scales_N).clip(min=0.0) + noise
            variance = max(float((along_N / spread_N).mean()), LEAST_VARIANCE)
            misfits[Shape(power, length, noise)] = len(rows) * np.log(variance) + float(np.log(spread_N).sum())
    return min(misfits, key=lambda shape: misfits[shape])


def _best_share(trees_N: Array, smooth_N: Array, loss_N: Array) -> float:
    """Of the trees, in [0, 1], for the least squares."""
    apart_N = trees_N - smooth_N
    share = (apart_N * (loss_N - smooth_N)).sum() / max(float((apart_N**2).sum()), LEAST_VARIANCE)
    return float(np.clip(share, 0.0, 1.0))


def _squares(mixtures: Array, others: Array, power: float) -> Array:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(mixtures**power, others**power, "sqeuclidean"))


def _kernel(squares: Array, length: float) -> Array:
    return np.asarray(np.exp(-0.5 * squares / length**2))
