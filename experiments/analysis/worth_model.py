"""What text is worth to each reference task, and how losses fall with it: least squares on finished episodes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...env.recording.episode_record import EpisodeRecord
from ...env.settings.fitted_dynamics import LEAST_WORTH, START
from ...lm.surrogate import Dynamics

Array = NDArray[np.float64]
PRIOR_SD = 1.0  # of theta: text twice as good as natural, or worthless, is one deviation (assumed)
FIRST_SD = 0.02  # nats, of the residuals, until they are known
LEAST_SD = 1e-4  # nats: no loss is known better


@dataclass(frozen=True)
class EpisodeTable:
    """N episodes of I intervals of one config.

    drawn: share of each of Q categories (the columns side by side) in what was drawn in the warm-up and each interval,
    less natural_Q, the warm-ups' mean, (N, 1 + I, Q); budgets: tokens trained on in each of them, over all tokens of
    the median episode, of which a wrong learning rate counts fewer, (N, 1 + I); loss_NIT: after each interval, nats per
    token, NaN for tasks that it lacks; weight_NT: of the tasks in the episode's own loss; final_N: that loss at the
    end; seed_N: the run's, which a control shares with its group; control_N: which are controls."""

    drawn: Array
    natural_Q: Array
    budgets: Array
    loss_NIT: Array
    weight_NT: Array
    final_N: Array
    seed_N: NDArray[np.int64]
    control_N: NDArray[np.bool_]

    @classmethod
    def of(cls, episodes: list[EpisodeRecord], columns: list[str], tasks: tuple[str, ...]) -> "EpisodeTable":
        """The table of complete episodes of one config."""
        share = np.stack([np.concatenate([each.drawn[name] for name in columns], 1) for each in episodes])
        natural_Q = share[:, 0].mean(0)  # the warm-up draws what the pool has
        spent = np.stack([np.diff(each.tokens, prepend=0) for each in episodes]) * 1.0
        rate_N = np.array([each.scenario.lr_scale for each in episodes])
        spent *= np.exp(-Dynamics.rate_cost * np.log(rate_N) ** 2)[:, None]
        weights = [dict(each.scenario.reference) for each in episodes]
        return cls(
            share - natural_Q,
            natural_Q,
            spent / np.median(spent.sum(1)),
            np.stack([each.by_task_IT for each in episodes]),
            np.array([[weight.get(task, 0.0) for task in tasks] for weight in weights]),
            np.array([each.loss[-1] for each in episodes]),
            np.array([each.seed for each in episodes], np.int64),
            np.array([each.control for each in episodes]),
        )

    def subset(self, chosen_N: NDArray[np.bool_]) -> "EpisodeTable":
        """The table of those episodes alone."""
        fields = {name: value if name == "natural_Q" else value[chosen_N] for name, value in vars(self).items()}
        return EpisodeTable(**fields)


@dataclass(frozen=True)
class WorthModel:
    """theta_QT: what a share of 1 more of a category adds to the worth of a token; curve: floor and amplitude, nats per
    token, and exponent, (3, T); residual_sd: nats, of a task's last loss between runs of one seed, noise and misfit."""

    theta_QT: Array
    curve: Array
    residual_sd: float

    def final(self, table: EpisodeTable) -> Array:
        """Predicted last loss of each episode, (N,), nats per token."""
        curves = [
            _losses(table, np.concatenate([curve, theta_Q]))[:, -1]
            for curve, theta_Q in zip(self.curve.T, self.theta_QT.T, strict=True)
        ]
        return (np.stack(curves, 1) * table.weight_NT).sum(1)


@dataclass(frozen=True)
class Noise:
    """Standard deviations of a task's losses, nats per token, each a pair: before the last interval, and in it.

    within: between the runs of one seed; between: between seeds, each of which has validation windows of its own."""

    within: Array
    between: Array

    @classmethod
    def of(cls, residual_NI: Array, group_N: NDArray[np.intp]) -> "Noise":
        """From residuals, by analysis of variance."""
        parts = [_within_and_between(part, group_N) for part in (residual_NI[:, :-1], residual_NI[:, -1:])]
        return cls(*np.array(parts).T)

    def whitened(self, residual_NI: Array, group_N: NDArray[np.intp]) -> Array:
        """Residuals less what the runs of a seed have in common, as far as the deviations tell it apart, over the
        deviations, (N, I); all intervals before the last together weigh as much as the last."""
        parts, whitened = (residual_NI[:, :-1], residual_NI[:, -1:]), []
        for part, within, between in zip(parts, self.within, self.between, strict=True):
            count_G, mean_G = _by_group(part, group_N)
            common_G = (1 - 1 / np.sqrt(1 + count_G * (between / within) ** 2)) * mean_G
            whitened.append((part - common_G[group_N][:, None]) / (within * np.sqrt(max(part.shape[1], 1))))
        return np.concatenate(whitened, 1)


def _within_and_between(residual_NI: Array, group_N: NDArray[np.intp]) -> tuple[float, float]:
    count_G, mean_G = _by_group(residual_NI, group_N)
    count, groups = count_G.sum(), (count_G > 0).sum()
    if count <= groups:  # one residual a group: nothing to tell the two apart by
        return max(float(np.sqrt((mean_G**2).mean())), LEAST_SD), 0.0
    within = np.nansum((residual_NI - mean_G[group_N][:, None]) ** 2) / (count - groups)
    between = (mean_G[count_G > 0] ** 2).mean() - within * (1 / count_G[count_G > 0]).mean()
    return max(float(np.sqrt(within)), LEAST_SD), float(np.sqrt(max(between, 0)))


def _by_group(residual_NI: Array, group_N: NDArray[np.intp]) -> tuple[Array, Array]:
    """Number and mean of the finite residuals of each group, the runs of one seed, (G,)."""
    finite = np.isfinite(residual_NI)
    count_G = np.bincount(group_N, finite.sum(1)).astype(np.float64)
    return count_G, np.bincount(group_N, np.where(finite, residual_NI, 0).sum(1)) / np.maximum(count_G, 1)


def fit_worth(table: EpisodeTable, knows_labels: bool = True) -> WorthModel:
    """Each task by itself, theta shrunk to 0 by a normal prior; first with a guess of the noise, then with what that
    leaves. Without labels theta is 0: losses follow tokens alone."""
    width = table.drawn.shape[2] if knows_labels else 0
    group_N = np.unique(table.seed_N, return_inverse=True)[1].reshape(-1)
    fitted, within = [], []
    for task in range(table.loss_NIT.shape[2]):
        noise = Noise(np.full(2, FIRST_SD), np.zeros(2))
        for _ in range(2):
            parameters = _fitted(table, task, width, noise, group_N)
            noise = Noise.of(_residuals(table, task, parameters), group_N)
        fitted.append(np.concatenate([parameters, np.zeros(table.drawn.shape[2] - width)]))
        within.append(noise.within[1])
    curve_theta = np.stack(fitted, 1)
    return WorthModel(curve_theta[3:], curve_theta[:3], float(np.sqrt(np.mean(np.square(within)))))


def _fitted(table: EpisodeTable, task: int, width: int, noise: Noise, group_N: NDArray[np.intp]) -> Array:
    """Floor, amplitude, exponent and theta (width,) of a task."""
    from scipy.optimize import least_squares

    lowest = np.nanmin(table.loss_NIT[:, :, task])
    start = np.concatenate([[0.7 * lowest, 0.3 * lowest, 0.35], np.zeros(width)])
    lower, upper = np.full(len(start), -np.inf), np.full(len(start), np.inf)
    lower[:3], upper[:3] = (0.0, 0.0, 0.02), (lowest, np.inf, 3.0)

    def weighted(parameters: Array) -> Array:
        residual_NI = noise.whitened(_residuals(table, task, parameters), group_N)
        return np.concatenate([residual_NI[np.isfinite(residual_NI)], parameters[3:] / PRIOR_SD])

    return np.asarray(least_squares(weighted, start, bounds=(lower, upper), x_scale="jac").x, np.float64)


def _residuals(table: EpisodeTable, task: int, parameters: Array) -> Array:
    return table.loss_NIT[:, :, task] - _losses(table, parameters)


def _losses(table: EpisodeTable, parameters: Array) -> Array:
    """After each interval, (N, I), nats per token."""
    (floor, amplitude, exponent), theta_Q = parameters[:3], parameters[3:]
    worth = np.maximum(1 + table.drawn[..., : len(theta_Q)] @ theta_Q, LEAST_WORTH)
    effective_NI = np.cumsum(table.budgets * worth, 1)[:, 1:]
    return np.asarray(floor + amplitude * (START + effective_NI) ** -exponent, np.float64)
