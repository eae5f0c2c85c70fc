"""The most that can be gained on a surrogate: by constant weights, and by any schedule of text."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...env.cells.sampler import CellSampler
from ...env.episode import Episode, run_episode
from ...env.observation.observation import Observation
from ...env.scenarios.pool import make_pool
from ...env.scenarios.roster import Roster
from ...env.scenarios.scenario import Scenario
from ...env.scenarios.task import Task
from ...env.settings.surrogate_setting import SurrogateSetting
from ...lm.surrogate import Dynamics

Array = NDArray[np.float64]
Choose = Callable[[Observation], Array]  # weights (N, K) of what is observed
CANDIDATES, BEST = 64, 8
FRESH = range(1000, 1032)


def constant(weights_K: Array) -> Choose:
    """The same weights for every run."""
    return lambda seen: np.tile(weights_K, (len(seen.mask), 1))


def final_losses(task: Task, setting: SurrogateSetting, scenario: Scenario, choose: Choose, seeds: list[int]) -> Array:
    """Validation loss at the end of N runs, one a seed, (N,) nats per token: the formula's own, without the noise of
    measuring it. What agents learn from noisy influence stays as noisy as it is. choose: weights (N, K) of what is
    observed."""
    backend = setting.backend(task, len(seeds))
    episode = Episode(task, backend, setting.episode)
    episode.enter(list(range(len(seeds))), [scenario] * len(seeds), seeds)
    run_episode(episode, lambda episode: choose(episode.observe()))
    return backend.dynamics.loss(backend.effective_NT) @ task.task_weights(scenario)


def best_static(
    task: Task, setting: SurrogateSetting, scenario: Scenario, seeds: tuple[int, ...] = (0, 1, 2, 3), rounds: int = 6
) -> tuple[Array, float, float]:
    """(weights (K,), their final loss, natural's), nats per token: the best constant console for the scenario, whose
    absent agents have weight 0.

    `search_simplex` finds it. The losses are means over FRESH seeds that the search did not see, or the winner would
    be flattered where influence is noisy. The tests compare with a grid."""
    of_present = np.eye(len(task.agent_names))[present_agents(task, scenario)]  # (present agents, K)

    def mean_losses(weights: Array, seeds: Sequence[int]) -> Array:
        weights_NK, seed_N = np.tile(weights @ of_present, (len(seeds), 1)), np.repeat(seeds, len(weights)).tolist()
        loss_N = final_losses(task, setting, scenario, lambda _: weights_NK, seed_N)
        return loss_N.reshape(len(seeds), len(weights)).mean(0)

    best = search_simplex(lambda weights: mean_losses(weights, seeds), len(of_present), rounds)
    last = np.concatenate([np.eye(len(of_present))[:1], best])  # natural and the best
    fresh = mean_losses(last, FRESH)
    return last[np.argmin(fresh)] @ of_present, float(fresh.min()), float(fresh[0])


def present_agents(task: Task, scenario: Scenario) -> NDArray[np.bool_]:
    """Which agents take weight in the scenario, (K,), null among them."""
    roster = Roster(task.prototypes, list(task.layout.columns), num_slots=1)
    roster.begin(0, scenario, seed=0)
    return roster.mask_NK[0]


def search_simplex(losses: Callable[[Array], Array], num_agents: int, rounds: int = 6) -> Array:
    """The BEST weights found, (BEST, num_agents), the lowest loss first. losses: from weights (N, num_agents) to (N,).

    Every single agent at five strengths and random mixtures, then `rounds` of mixtures around the eight best, ever
    nearer."""
    rng, natural_K = np.random.default_rng(0), np.eye(num_agents)[0]
    found_NK, loss_N = np.zeros((0, num_agents)), np.zeros(0)
    singles = [(1 - s) * natural_K + s * np.eye(num_agents)[1:] for s in (0.1, 0.25, 0.5, 0.75, 1.0)]
    batch_NK = np.concatenate([natural_K[None], *singles, rng.dirichlet(np.full(num_agents, 0.3), CANDIDATES)])
    for turn in range(rounds + 1):
        found_NK = np.concatenate([found_NK, batch_NK])
        loss_N = np.concatenate([loss_N, losses(batch_NK)])
        best_NK = found_NK[np.argsort(loss_N)[:BEST]]
        near_NK = best_NK[rng.integers(BEST, size=CANDIDATES)]
        share = 0.5 ** (turn + 1) * rng.random((CANDIDATES, 1))
        batch_NK = (1 - share) * near_NK + share * rng.dirichlet(np.full(num_agents, 0.3), CANDIDATES)
    return best_NK


def scenario_bound(task: Task, setting: SurrogateSetting, scenario: Scenario) -> float:
    """A final loss of the scenario's mixture that no schedule of text goes below, after the warm-up under natural, nats
    per token: `schedule_bound` of its pool and its learning rate."""
    clock, dynamics, pool = setting.episode, setting.dynamics(task), make_pool(task, scenario)
    steps_I = np.array([clock.warmup_steps, *[clock.steps_per_interval] * clock.num_intervals], np.float64)
    budget_I = steps_I * clock.batch_windows * setting.context
    sampler = CellSampler(task.cells, num_slots=1)
    tokens = min(scenario.pool_budgets * clock.budget_tokens(setting.context), pool.most_tokens)
    sampler.reset(0, scenario.pool_seed or 0, tokens, pool.natural_C)
    pace = dynamics.pace(scenario.lr_scale)
    paced = replace(dynamics, transfer_CT=pace * dynamics.transfer_CT, late_CT=pace * dynamics.late_CT)
    return schedule_bound(paced, sampler.pool_tokens_NC[0], budget_I, task.task_weights(scenario), warmup=1)


def schedule_bound(
    dynamics: Dynamics, pool_C: Array, budget_I: Array, task_weights_T: Array, warmup: int = 0, steps: int = 2000
) -> float:
    """A final loss that no schedule of text can go below, nats per token. pool_C: tokens of each kind there are;
    budget_I: tokens of each interval, of which the first `warmup` intervals are natural text (of the pool).

    Each interval may draw any mixture, and repeats count from the interval's own first token on, by a smooth worth that
    is nowhere below the real one: so it bounds from below, tightly where little is repeated. The rest is a concave
    maximum over simplices, by Frank and Wolfe's method (1956), whose duality gap is taken off: the number holds at any
    number of steps."""
    there_C = pool_C > 0
    dynamics = replace(dynamics, transfer_CT=dynamics.transfer_CT[there_C], late_CT=dynamics.late_CT[there_C])
    pool_C = pool_C[there_C]
    middle_I = (np.cumsum(budget_I) - budget_I / 2) / budget_I.sum()
    worth_ICT = dynamics.transfer(middle_I)
    spent_IC = np.outer(budget_I, pool_C / pool_C.sum())
    free = np.arange(len(budget_I)) >= warmup
    bound = -np.inf
    for step in range(steps):
        value_IC, marginal_IC = _smooth_worth(spent_IC, pool_C, dynamics.repeat_epochs)
        effective_T = np.einsum("ic,ict->t", value_IC, worth_ICT)
        slope_T = task_weights_T * dynamics.slope(effective_T)
        gain_IC = np.einsum("ict,t->ic", worth_ICT, slope_T) * marginal_IC
        all_in_one_IC = budget_I[:, None] * (gain_IC == gain_IC.max(1, keepdims=True))
        all_in_one_IC /= np.maximum((all_in_one_IC > 0).sum(1, keepdims=True), 1)
        direction_IC = np.where(free[:, None], all_in_one_IC - spent_IC, 0.0)
        loss = float(dynamics.loss(effective_T) @ task_weights_T)
        bound = max(bound, loss - float((gain_IC * direction_IC).sum()))
        spent_IC = spent_IC + 2 / (step + 2) * direction_IC
    return bound


def _smooth_worth(spent_IC: Array, pool_C: Array, repeat_epochs: float) -> tuple[Array, Array]:
    """Fresh tokens that `spent` are worth at most, and what one more is: the first epoch in full, later ones by
    exp(-(epochs - 1) / repeat_epochs), at every point no less than the steps of exp(-whole epochs / repeat_epochs)."""
    over_IC = np.maximum(spent_IC / pool_C - 1, 0)
    marginal_IC = np.exp(-over_IC / repeat_epochs)
    return np.minimum(spent_IC, pool_C) + pool_C * repeat_epochs * (1 - marginal_IC), marginal_IC
