"""What text is worth to each reference task, and how losses fall with it: least squares on finished episodes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ...env.recording.episode_record import EpisodeRecord
from ...env.settings.fitted_dynamics import LEAST_WORTH, START
from ...lm.surrogate import Dynamics

Array = NDArray[np.float64]
PRIOR_SD = 1.0  # of theta: text twice as good as natural, or worthless, is one deviation (assumed)
FIRST_SD = 0.02  # nats, of the residuals, until they are known
LEAST_SD = 1e-4  # nats: no loss is known better


@dataclass(frozen=True)
class EpisodeTable:
    """E episodes of I intervals: drawn_EJQ, share of the mixture of each of Q categories (the columns side by side) in
    the warm-up and each interval, less the mean warm-up's, natural_Q; budgets_EJ, trained on in each of them, in the
    median episode's tokens, of which a wrong learning rate makes less; loss_EIT, after each interval, nats per token,
    NaN where not in play; weight_ET, of the tasks in the episode's own loss; final_E, that loss at the end; group_E,
    the run seed, which a control shares with its group; control_E."""

    drawn_EJQ: Array
    natural_Q: Array
    budgets_EJ: Array
    loss_EIT: Array
    weight_ET: Array
    final_E: Array
    group_E: NDArray[np.int64]
    control_E: NDArray[np.bool_]

    @classmethod
    def of(cls, episodes: list[EpisodeRecord], columns: list[str], tasks: tuple[str, ...]) -> "EpisodeTable":
        """Of complete episodes of one config."""
        share_EJQ = np.stack([np.concatenate([each.drawn[name] for name in columns], 1) for each in episodes])
        natural_Q = share_EJQ[:, 0].mean(0)  # the warm-up draws what the pool has
        spent_EJ = np.stack([np.diff(each.tokens, prepend=0) for each in episodes]) * 1.0
        rate_E = np.array([each.scenario.lr_scale for each in episodes])
        spent_EJ *= np.exp(-Dynamics.rate_cost * np.log(rate_E) ** 2)[:, None]
        weights = [dict(each.scenario.reference) for each in episodes]
        return cls(
            share_EJQ - natural_Q,
            natural_Q,
            spent_EJ / np.median(spent_EJ.sum(1)),
            np.stack([each.by_task_IT for each in episodes]),
            np.array([[weight.get(task, 0.0) for task in tasks] for weight in weights]),
            np.array([each.loss[-1] for each in episodes]),
            np.array([each.seed for each in episodes], np.int64),
            np.array([each.control for each in episodes]),
        )

    def rows(self, chosen_E: NDArray[np.bool_]) -> "EpisodeTable":
        """Those episodes alone."""
        fields = {name: value if name == "natural_Q" else value[chosen_E] for name, value in vars(self).items()}
        return EpisodeTable(**fields)


@dataclass(frozen=True)
class WorthModel:
    """theta_QT: what a share of 1 more of a category adds to the worth of a token; curve_3T: floor and amplitude, nats
    per token, and exponent; residual_sd: nats, of a task's last loss between runs of one seed, noise and misfit."""

    theta_QT: Array
    curve_3T: Array
    residual_sd: float

    def final(self, table: EpisodeTable) -> Array:
        """Predicted last loss of each episode, (E,), nats per token."""
        curves = [
            _losses(table, np.concatenate([curve_3, theta_Q]))[:, -1]
            for curve_3, theta_Q in zip(self.curve_3T.T, self.theta_QT.T, strict=True)
        ]
        return (np.stack(curves, 1) * table.weight_ET).sum(1)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of a task's losses, nats per token, of the intervals before the last one and of the last:
    within_2 between runs of one seed; between_2 between seeds, each of which has validation windows of its own."""

    within_2: Array
    between_2: Array

    @classmethod
    def of(cls, off_EI: Array, seed_E: NDArray[np.intp]) -> "Noise":
        """From residuals, by analysis of variance."""
        parts = [_components(off, seed_E) for off in (off_EI[:, :-1], off_EI[:, -1:])]
        return cls(*np.array(parts).T)

    def whitened(self, off_EI: Array, seed_E: NDArray[np.intp]) -> Array:
        """Residuals in deviations, without what the runs of a seed have in common as far as the two tell it apart, all
        intervals before the last weighing as much as the last, (E, I)."""
        parts = []
        for off, within, between in zip((off_EI[:, :-1], off_EI[:, -1:]), self.within_2, self.between_2, strict=True):
            count_S, mean_S = _by_seed(off, seed_E)
            common_S = (1 - 1 / np.sqrt(1 + count_S * (between / within) ** 2)) * mean_S
            parts.append((off - common_S[seed_E][:, None]) / (within * np.sqrt(max(off.shape[1], 1))))
        return np.concatenate(parts, 1)


def _components(off: Array, seed_E: NDArray[np.intp]) -> tuple[float, float]:
    count_S, mean_S = _by_seed(off, seed_E)
    count, seeds = count_S.sum(), (count_S > 0).sum()
    if count <= seeds:  # one run a seed: nothing to tell them apart by
        return max(float(np.sqrt((mean_S**2).mean())), LEAST_SD), 0.0
    within = np.nansum((off - mean_S[seed_E][:, None]) ** 2) / (count - seeds)
    between = (mean_S[count_S > 0] ** 2).mean() - within * (1 / count_S[count_S > 0]).mean()
    return max(float(np.sqrt(within)), LEAST_SD), float(np.sqrt(max(between, 0)))


def _by_seed(off: Array, seed_E: NDArray[np.intp]) -> tuple[Array, Array]:
    """Number and mean of the finite ones of each seed, (S,)."""
    finite = np.isfinite(off)
    count_S = np.bincount(seed_E, finite.sum(1)).astype(np.float64)
    return count_S, np.bincount(seed_E, np.where(finite, off, 0).sum(1)) / np.maximum(count_S, 1)


def fit_worth(table: EpisodeTable, knows_labels: bool = True) -> WorthModel:
    """Each task by itself, theta shrunk to 0 by a normal prior; first with a guess of the noise, then with what that
    leaves. Without labels theta is 0: losses follow tokens alone."""
    width = table.drawn_EJQ.shape[2] if knows_labels else 0
    seed_E = np.unique(table.group_E, return_inverse=True)[1].reshape(-1)
    fitted, within = [], []
    for task in range(table.loss_EIT.shape[2]):
        noise = Noise(np.full(2, FIRST_SD), np.zeros(2))
        for _ in range(2):
            parameters = _fitted(table, task, width, noise, seed_E)
            noise = Noise.of(_residuals(table, task, parameters), seed_E)
        fitted.append(np.concatenate([parameters, np.zeros(table.drawn_EJQ.shape[2] - width)]))
        within.append(noise.within_2[1])
    curve_theta = np.stack(fitted, 1)
    return WorthModel(curve_theta[3:], curve_theta[:3], float(np.sqrt(np.mean(np.square(within)))))


def _fitted(table: EpisodeTable, task: int, width: int, noise: Noise, seed_E: NDArray[np.intp]) -> Array:
    """Floor, amplitude, exponent and theta (width,) of a task."""
    lowest = np.nanmin(table.loss_EIT[:, :, task])
    start = np.concatenate([[0.7 * lowest, 0.3 * lowest, 0.35], np.zeros(width)])
    lower, upper = np.full(len(start), -np.inf), np.full(len(start), np.inf)
    lower[:3], upper[:3] = (0.0, 0.0, 0.02), (lowest, np.inf, 3.0)

    def weighted(parameters: Array) -> Array:
        off_EI = noise.whitened(_residuals(table, task, parameters), seed_E)
        return np.concatenate([off_EI[np.isfinite(off_EI)], parameters[3:] / PRIOR_SD])

    return np.asarray(least_squares(weighted, start, bounds=(lower, upper), x_scale="jac").x, np.float64)


def _residuals(table: EpisodeTable, task: int, parameters: Array) -> Array:
    return table.loss_EIT[:, :, task] - _losses(table, parameters)


def _losses(table: EpisodeTable, parameters: Array) -> Array:
    """After each interval, (E, I), nats per token."""
    (floor, amplitude, exponent), theta_Q = parameters[:3], parameters[3:]
    worth_EJ = np.maximum(1 + table.drawn_EJQ[..., : len(theta_Q)] @ theta_Q, LEAST_WORTH)
    effective_EI = np.cumsum(table.budgets_EJ * worth_EJ, 1)[:, 1:]
    return np.asarray(floor + amplitude * (START + effective_EI) ** -exponent, np.float64)
