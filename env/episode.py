"""Episode: the only loop. Observe, take weights, select, train, evaluate, feed back; for N runs at once.

A proxy run, a surrogate run and the run of a large target are this same loop with another Learner.
"""

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..lm.backend import Ids, Learner
from ..lm.io.errors import InputError
from ..lm.io.state import state_under
from ..lm.keyed_random import Words, mix
from .agents.base import Feedback
from .cells.sampler import CellDraws
from .console.agent_scores import AgentGroup
from .console.weights import check_weights
from .episode_config import EpisodeConfig
from .observation.features import Draws, agent_features, paper_rewards, seen_gaps, training_features
from .observation.influence_moments import Evidence
from .observation.observation import Observation
from .observation.probe import in_units_of_rms, sample_probe
from .random_streams import DRAW, FINAL, INFLUENCE, PROBE, VALIDATION, stream_keys
from .scenarios.pool import pool_of
from .scenarios.scenario import Scenario
from .scenarios.task import ReferenceSample, Task, group_means, task_means

Array = NDArray[np.float64]
TASK_STRIDE = 4  # every fourth probe window also tells of the reference tasks one by one


@dataclass(frozen=True)
class Outcome:
    """What one interval did to N runs. Losses in nats per token; loss_N is the scenario's mixture of reference tasks on
    the validation half, fall_N how much it fell in the interval, by_task_NT its parts (NaN: not in play). A run that
    diverged has NaN losses and is done; one that was not active has NaN losses and the last train_loss_N."""

    train_loss_N: Array
    loss_N: Array
    fall_N: Array
    by_task_NT: Array
    tokens_N: NDArray[np.int64]
    done_N: NDArray[np.bool_]
    diverged_N: NDArray[np.bool_]


class Episode:
    """N runs on one task. `begin` puts scenarios and seeds into slots; then `observe` and `step` until done.

    All randomness of a run derives from its seed, so a run's numbers do not depend on N or on its slot."""

    def __init__(self, task: Task, learner: Learner, config: EpisodeConfig) -> None:
        self.task, self.learner, self.config = task, learner, config
        n, num_agents, num_tasks = learner.num_slots, len(task.agent_names), len(task.tasks)
        self.num_slots = n
        self.draws = CellDraws(task.cells, n)
        self.agents = AgentGroup(task, self.draws)
        self.evidence = Evidence(n, num_agents, num_tasks)
        self.seed_N = np.zeros(n, np.int64)
        self.interval_N = np.full(n, config.num_intervals)  # nothing begun: all done
        self.task_weights_NT = np.zeros((n, num_tasks))
        self.weights_NK = np.zeros((n, num_agents))
        self.tokens_N = np.zeros(n, np.int64)
        self.shares_NC = np.zeros((n, task.cells.num_cells))
        self.paper_reward_NK, self.drift_NK, self.seen_gap_NK = np.zeros((3, n, num_agents))
        self.train_loss_N = np.zeros(n)
        self.losses_4N = np.zeros((4, n))  # start and end of the first interval, start and end of the last
        self.spent_2N = np.zeros((2, n))  # tokens at the start and end of the last interval
        self.trained_tokens = 0  # of all runs; with `seconds`, the clock of the work done so far
        self.seconds = dict.fromkeys(("train", "evaluate", "influence", "select", "observe"), 0.0)

    @property
    def mask_NK(self) -> NDArray[np.bool_]:
        """Which agents take weight in each run."""
        return self.agents.cast.mask_NK

    def _keys(self, purpose: int) -> Words:
        """One a run, (N,), for the random numbers of that purpose in this interval (of validation: in all)."""
        interval_N = np.where(purpose in (VALIDATION, FINAL), 0, self.interval_N + 1)
        return stream_keys(self.seed_N, purpose, interval_N)

    def _reference(self, count: int, purpose: int) -> ReferenceSample:
        return self.task.sample_reference(self.task_weights_NT, count, "validation", self._keys(purpose))

    def begin(self, slots: list[int], scenarios: list[Scenario], seeds: list[int]) -> None:
        """Start new runs in `slots`: fresh model, warm-up under natural, first probe."""
        active = self.enter(slots, scenarios, seeds)
        self.settle(self.train(self.draw_warmup(active), active), active)

    def enter(self, slots: list[int], scenarios: list[Scenario], seeds: list[int]) -> NDArray[np.bool_]:
        """Put fresh models and pools into `slots` -> which slots these are, (N,). `draw_warmup`, training on it and
        `settle` follow."""
        index = np.array(slots, np.intp)
        budget = self.config.budget_tokens(self.task.context)
        for slot, scenario, seed in zip(slots, scenarios, seeds, strict=True):
            self.seed_N[slot], self.interval_N[slot] = seed, -1
            self.task_weights_NT[slot] = self.task.task_weights(scenario)
            pool = pool_of(self.task, scenario)
            text = seed if scenario.pool_seed is None else scenario.pool_seed
            self.draws.reset(slot, text, min(scenario.pool_budgets * budget, pool.most_tokens), pool.natural_C)
            self.agents.cast.begin(slot, scenario, seed)
            self.learner.start(slot, seed, scenario.lr_scale)
        self.agents.reset(index)
        self.evidence.reset(index)
        self.weights_NK[index] = self.config.action_map.weights(np.zeros(self.mask_NK.shape), self.mask_NK)[index]
        for of_run in (self.tokens_N, self.spent_2N.T, self.paper_reward_NK, self.drift_NK, self.seen_gap_NK):
            of_run[index] = 0
        self.shares_NC[index] = self.draws.natural_NC[index]
        return np.isin(np.arange(self.num_slots), index)

    def draw_warmup(self, active: NDArray[np.bool_]) -> Ids:
        """Window ids of the training before the first decision, under natural: (N, steps, batch)."""
        return self._draw(active, self.config.warmup_steps)

    def settle(self, train_loss_N: Array, active: NDArray[np.bool_]) -> None:
        """Measure what the warm-up did to the runs that entered; the first decision is due."""
        self.train_loss_N = np.where(active, train_loss_N, self.train_loss_N)
        self.losses_4N = np.where(active, self._evaluate(active)[0], self.losses_4N)
        self._probe(active)
        self.interval_N = np.where(active, 0, self.interval_N)

    def observe(self) -> Observation:
        """What the policies see now, of all N runs."""
        t0 = perf_counter()
        z_NKC, cast = self.agents.scores, self.agents.cast
        total = self.config.budget_tokens(self.task.context)
        draws = Draws(
            self.shares_NC,
            self.draws.used_NC * self.task.cells.window_tokens_C,
            self.draws.pool_tokens_NC,
            self.draws.natural_NC,
            np.maximum(total - self.tokens_N, 0).astype(np.float64),
        )
        mixed = self.config.console.mixed_score(self.weights_NK, z_NKC, self.draws.natural_NC)
        agents = agent_features(
            z_NKC, mixed, self.agents.lift(), self.task_weights_NT, cast.moves_NK, self.weights_NK, self.evidence,
            self.drift_NK, self.seen_gap_NK, self.paper_reward_NK, draws,
        )  # fmt: skip
        progress = self.tokens_N / total
        training = training_features(
            np.clip(progress, 0, 1), self.learner.learning_rate(), list(self.losses_4N), self.train_loss_N,
            list(self.spent_2N), self.evidence, draws,
        )  # fmt: skip
        self.seconds["observe"] += perf_counter() - t0
        return Observation(agents * cast.present_NK[..., None], cast.mask_NK, training)

    def step(self, weights: Array, active: NDArray[np.bool_] | None = None) -> Outcome:
        """Train one interval under `weights` (N, K) and measure what came of it; where `active` (N,) is False the run
        stays as it is. InputError on weights off the simplex or when an active run is done and was not begun anew."""
        active = np.ones(self.num_slots, bool) if active is None else active
        ids = self.draw_interval(weights, active)
        return self.measure(self.train(ids, active), active)

    def draw_interval(self, weights: Array, active: NDArray[np.bool_]) -> Ids:
        """The first half of a step: the windows of the coming interval under `weights`, (N, steps, batch)."""
        weights = check_weights(weights, self.mask_NK)
        if (self.interval_N[active] >= self.config.num_intervals).any():
            raise InputError("a run is done, expected `begin` with a new scenario and seed for its slot before `step`")
        self._select(weights, active)
        self.spent_2N[0] = np.where(active, self.tokens_N, self.spent_2N[0])
        return self._draw(active, self.config.steps_per_interval)

    def measure(self, train_loss_N: Array, active: NDArray[np.bool_]) -> Outcome:
        """The second half: what the training on those windows, at a mean loss of `train_loss_N`, came to."""
        self.train_loss_N = np.where(active, train_loss_N, self.train_loss_N)
        before = self.losses_4N[3].copy()
        last_N = active & (self.interval_N == self.config.num_intervals - 1)
        loss_N, by_task_NT = self._evaluate(active, last_N)
        diverged_N = active & ~(np.isfinite(loss_N) & np.isfinite(self.train_loss_N))
        if (going_N := active & ~last_N & ~diverged_N).any():
            self._probe(going_N)
        self.losses_4N[1] = np.where(active & (self.interval_N == 0), loss_N, self.losses_4N[1])
        self.losses_4N[2:] = np.where(active, [before, loss_N], self.losses_4N[2:])
        self.spent_2N[1] = np.where(active, self.tokens_N, self.spent_2N[1])
        self.interval_N = np.where(diverged_N, self.config.num_intervals, self.interval_N + active)
        done_N = self.interval_N >= self.config.num_intervals
        return Outcome(self.train_loss_N, loss_N, before - loss_N, by_task_NT, self.tokens_N.copy(), done_N, diverged_N)

    def test_losses(self, count: int) -> Array:
        """Loss of each run on `count` windows of the test half of every reference task -> (N, T), nats per token.
        The same windows for every run; for reports alone."""
        num_tasks = len(self.task.tasks)
        every = np.full((self.num_slots, num_tasks), 1 / num_tasks)
        same = mix(np.zeros(self.num_slots, np.uint64))
        sample = self.task.sample_reference(every, count * num_tasks, "test", same)
        return task_means(self.learner.evaluate(sample.ids, averaged=False), sample.task, num_tasks)

    @property
    def tokens_per_s(self) -> float:
        """Tokens trained on a second, by all runs together and with everything counted."""
        return self.trained_tokens / max(sum(self.seconds.values()), 1e-9)

    def _select(self, weights: Array, active: NDArray[np.bool_]) -> None:
        t0 = perf_counter()
        self.weights_NK = np.where(active[:, None], weights, self.weights_NK)
        budget = self.config.steps_per_interval * self.config.batch_windows * self.task.context
        draws = self.draws
        shares_NC = self.config.console.shares(
            weights, self.agents.scores, draws.natural_NC, draws.pool_tokens_NC, draws.epochs_NC, budget
        )
        self.shares_NC = shares_NC if active.all() else np.where(active[:, None], shares_NC, self.shares_NC)
        self.seconds["select"] += perf_counter() - t0

    def _draw(self, active: NDArray[np.bool_], steps: int) -> Ids:
        t0 = perf_counter()
        shape = (self.num_slots, steps * self.config.batch_windows)
        ids = np.full(shape, self.task.cells.window_ids(np.zeros(1, np.int64)))  # any window, for the inactive
        slots = np.flatnonzero(active)
        ids[slots] = self.draws.draw(slots, self.shares_NC[slots], ids.shape[1], self._keys(DRAW)[slots])
        drawn_N = active * self.task.windows.lengths(ids).sum(1)
        self.tokens_N += drawn_N
        self.trained_tokens += int(drawn_N.sum())
        self.seconds["select"] += perf_counter() - t0
        return ids.reshape(self.num_slots, steps, -1)

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Array:
        """The learner's training on drawn windows (N, steps, batch), or on a part of the steps -> its losses (N,)."""
        t0 = perf_counter()
        loss_N = self.learner.train(ids, active)
        self.seconds["train"] += perf_counter() - t0
        return loss_N

    def _evaluate(self, active: NDArray[np.bool_], final: NDArray[np.bool_] | None = None) -> tuple[Array, Array]:
        """Mixture loss (N,) and task losses (N, T) on the running average of the weights; of the runs that `final`
        names on the weights themselves and on more windows."""
        t0 = perf_counter()
        at_end = np.zeros(self.num_slots, bool) if final is None else final
        loss_N = np.full(self.num_slots, np.nan)
        by_task_NT = np.full((self.num_slots, len(self.task.tasks)), np.nan)
        for rows, count, purpose in (
            (active & ~at_end, self.config.validation_windows, VALIDATION),
            (active & at_end, self.config.final_windows, FINAL),
        ):
            if not rows.any():
                continue
            sample = self._reference(count, purpose)
            losses = self.learner.evaluate(sample.ids, averaged=purpose == VALIDATION)
            loss_N[rows] = (losses * sample.weight).sum(1)[rows]
            by_task_NT[rows] = task_means(losses, sample.task, by_task_NT.shape[1])[rows]
        self.seconds["evaluate"] += perf_counter() - t0
        return loss_N, by_task_NT

    def _probe(self, active: NDArray[np.bool_]) -> None:
        """Measure influence on a probe, and let the evidence and then the agents learn from it."""
        t0 = perf_counter()
        config, labels_CA = self.config, self.task.cells.labels_CA
        probe = sample_probe(self.draws, np.arange(self.num_slots), config.probe_windows, self._keys(PROBE))
        groups = self.task.sample_groups(self.task_weights_NT, config.reference_windows, self._keys(INFLUENCE))
        influence, loss, alone = self.learner.influence(groups.ids, groups.weight, probe.ids, TASK_STRIDE)
        influence = in_units_of_rms(np.where(active[:, None], influence, np.nan), probe.share)
        z_NKC, column_NK = self.agents.scores, self.agents.cast.column_NK  # priorities before this probe
        z_NKP = np.take_along_axis(z_NKC, probe.cell[:, None], 2)
        self.evidence.update(z_NKP, influence, probe.share)
        by_task = group_means(np.where(active[:, None, None], alone, np.nan), groups.task)
        self.evidence.update_tasks(z_NKP[:, :, ::TASK_STRIDE], by_task, probe.share[:, ::TASK_STRIDE])
        reward_NK = paper_rewards(z_NKP, np.nan_to_num(influence), labels_CA[probe.cell], column_NK)
        self.paper_reward_NK = np.where(np.isfinite(influence[:, :1]), reward_NK, self.paper_reward_NK)
        feedback = Feedback(
            labels_CA[probe.cell], probe.share, loss, influence, self.losses_4N[3].copy(), self.draws.epochs_NC
        )
        self.agents.update(feedback)
        moved_NKC = (self.agents.scores - z_NKC) ** 2 * self.draws.natural_NC[:, None]
        gap_NK = seen_gaps(z_NKP, loss, probe.seen, probe.share)
        self.drift_NK[active], self.seen_gap_NK[active] = np.sqrt(moved_NKC.sum(2))[active], gap_NK[active]
        self.seconds["influence"] += perf_counter() - t0

    _ARRAYS = (
        "seed_N", "interval_N", "task_weights_NT", "weights_NK", "tokens_N", "shares_NC", "paper_reward_NK",
        "drift_NK", "seen_gap_NK", "train_loss_N", "losses_4N", "spent_2N",
    )  # fmt: skip

    _PARTS = ("draws", "evidence", "agents")

    @property
    def clock(self) -> NDArray[np.float64]:
        """Tokens trained on, then seconds by part: how the work went, which no result depends on."""
        return np.array([self.trained_tokens, *self.seconds.values()])

    @clock.setter
    def clock(self, reading: NDArray[np.float64]) -> None:
        self.trained_tokens = int(reading[0])
        self.seconds = dict(zip(self.seconds, map(float, reading[1:]), strict=True))

    def state_dict(self) -> dict[str, NDArray]:
        """All that the coming steps depend on but the learner's own state, and the clock; scenarios stay with the
        caller, who gave them."""
        state = {name: np.array(getattr(self, name)) for name in (*self._ARRAYS, "clock")}
        for part in self._PARTS:
            state |= {f"{part}/{key}": value for key, value in getattr(self, part).state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Go on exactly where `state_dict` was taken, with a learner that does too."""
        for name in (*self._ARRAYS, "clock"):
            setattr(self, name, np.array(state[name]))
        for part in self._PARTS:
            getattr(self, part).load_state_dict(state_under(f"{part}/", state))
