"""Episode: N pretraining runs under a console. Enter, then for every interval observe, draw, train and measure.

The runs of proxies, of a surrogate and of a large target are all this: an episode on another backend. `run_episode` is
the loop over intervals; the vector environment, in which others decide, calls `run_interval` itself.

A suffix tells an array's axes: N runs, K agents (agent 0 is null, which selects nothing), C cells, T reference tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..lm.backend import Backend, Ids
from ..lm.io.errors import InputError
from ..lm.io.state import copies, nested, restore, under
from .cells.sampler import CellSampler, in_random_order, sums_by_cell
from .console.agent_scores import AgentScores
from .console.limits import Limit
from .console.quotas import Quotas
from .console.weights import check_weights
from .episode_config import EpisodeConfig
from .measuring import Measuring
from .observation.features import AGENT_FEATURES, TRAINING_FEATURES, Draw, Known, computed
from .observation.observation import Observation
from .random_streams import DRAW, stream_keys
from .scenarios.pool import make_pool
from .scenarios.scenario import Scenario
from .scenarios.steering_text import SteeringText
from .scenarios.task import Task
from .stopwatch import Stopwatch

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
DIVERGENCE_PENALTY_NATS = 1.0  # about three times the largest gain seen: never worth it (assumed)
WARMUP = -1  # the number of the interval before the first decision, which is trained under natural


@dataclass(frozen=True)
class Interval:
    """What one interval was and came to, of N runs. Losses in nats per token, NaN of runs that were not active.

    active_N: which runs trained; number_N: of the interval in its run, from 0, WARMUP for the warm-up; weights_NK: in
    force; shares_NC: of each cell in what was drawn; windows: ids drawn, (N, steps, batch); train_loss_N: mean over the
    steps (of an inactive run: its last); loss_N: of the scenario's mixture of reference tasks on the validation part;
    fall_N: how far it fell in the interval (NaN in the warm-up); by_task_NT: its parts (NaN: not in play); tokens_N:
    spent so far; done_N: at the end of their budget, or diverged; diverged_N: whose loss is not finite."""

    active_N: Bools
    number_N: NDArray[np.int64]
    weights_NK: Array
    shares_NC: Array
    windows: Ids
    train_loss_N: Array
    loss_N: Array
    fall_N: Array
    by_task_NT: Array
    tokens_N: NDArray[np.int64]
    done_N: Bools
    diverged_N: Bools

    def reward_N(self, control_fall_N: Array, stepped_N: Bools) -> Array:
        """Nats gained in the interval by the first len(stepped_N) runs; those after them are the controls, which train
        under natural. The fall of a run's loss, less that of its control (0 where there is none, or it diverged); of a
        run that diverged the penalty; 0 where the run made no step."""
        part = slice(len(stepped_N))
        diverged_N = self.diverged_N[part]
        reward_N = np.where(diverged_N, 0.0, self.fall_N[part]) - control_fall_N
        reward_N[diverged_N], reward_N[~stepped_N] = -DIVERGENCE_PENALTY_NATS, 0.0
        return reward_N


@dataclass
class InHand:
    """An interval that was drawn and is being trained: its windows (N, steps, batch), which runs train, the steps that
    are done and the sum of each run's losses over them."""

    windows: Ids
    active_N: Bools
    steps_done: int
    loss_sum_N: Array

    def state_dict(self) -> dict[str, NDArray]:
        return {
            "windows": self.windows.copy(),
            "active": self.active_N.copy(),
            "steps_done": np.array(self.steps_done),
            "loss_sum": self.loss_sum_N.copy(),
        }

    @classmethod
    def of_state(cls, state: dict[str, NDArray]) -> "InHand":
        """What `state_dict` was taken of."""
        return cls(state["windows"], state["active"], int(state["steps_done"]), state["loss_sum"])


class Episode:
    """N runs on one task. `enter` puts scenarios and seeds into slots; then come, in turn, `draw` (first of the
    warm-up, without weights), `train` and `measure`; `observe` before a decision. drawn_NC: tokens drawn from each cell
    so far. limits: what every run keeps, whatever the weights ask for (`console/quotas.py` says how).

    All randomness of a run derives from its seed, so a run's numbers do not depend on N or on its slot, as far as the
    backend's do not (`ProxyStack` says where)."""

    _ARRAYS = (
        "seed_N",
        "interval_N",
        "task_weights_NT",
        "steering_number_N",
        "steering_key_N",
        "on_trial_N",
        "weights_NK",
        "tokens_N",
        "drawn_NC",
        "shares_NC",
        "train_loss_N",
    )
    _PARTS = ("sampler", "agents", "measuring", "stopwatch")

    def __init__(self, task: Task, backend: Backend, config: EpisodeConfig, limits: tuple[Limit, ...] = ()) -> None:
        self.task, self.backend, self.config = task, backend, config
        num_slots, num_agents = backend.num_slots, len(task.agent_names)
        self.num_slots = num_slots
        self.stopwatch = Stopwatch()
        self.sampler = CellSampler(task.cells, num_slots)
        total_windows = config.total_steps * config.batch_windows
        self.quotas = Quotas(limits, task.layout.columns, self.sampler, task.windows, total_windows)
        self.agents = AgentScores(task, self.sampler)
        self.measuring = Measuring(task, backend, config, self.sampler, self.agents, self.stopwatch)
        self.seed_N = np.zeros(num_slots, np.int64)
        self.interval_N = np.full(num_slots, config.num_intervals)  # none has entered: all are done
        self.task_weights_NT = np.zeros((num_slots, len(task.reference_tasks)))
        self.steering_number_N, self.steering_key_N = np.zeros(num_slots, np.int64), np.zeros(num_slots, np.uint64)
        self.on_trial_N = np.zeros(num_slots, bool)
        self.weights_NK = np.zeros((num_slots, num_agents))
        self.tokens_N = np.zeros(num_slots, np.int64)
        self.drawn_NC = np.zeros((num_slots, task.cells.num_cells), np.int64)
        self.shares_NC = np.zeros((num_slots, task.cells.num_cells))
        self.train_loss_N = np.zeros(num_slots)
        self.in_hand: InHand | None = None

    @property
    def mask_NK(self) -> Bools:
        """Which agents take weight in each run."""
        return self.agents.roster.mask_NK

    @property
    def done_N(self) -> Bools:
        """Which runs have come to their end, or have not entered."""
        return self.interval_N >= self.config.num_intervals

    @property
    def steering(self) -> SteeringText:
        """The validation documents that steer each run."""
        return SteeringText(self.steering_number_N, self.steering_key_N)

    @property
    def loss_N(self) -> Array:
        """Loss of each run when it was measured last, as `Interval.loss_N` was of it."""
        return self.measuring.history.last_end_N

    @property
    def fall_N(self) -> Array:
        """How far it has fallen since the warm-up, nats."""
        return self.measuring.history.first_start_N - self.loss_N

    def enter(self, slots: list[int], scenarios: list[Scenario], seeds: list[int]) -> Bools:
        """Put fresh models and pools into `slots` -> which slots these are, (N,). Their warm-up is due. InputError: the
        limits cannot be kept in a run from such a pool."""
        index = np.array(slots, np.intp)
        budget = self.config.budget_tokens(self.task.context)
        for slot, scenario, seed in zip(slots, scenarios, seeds, strict=True):
            self.seed_N[slot], self.interval_N[slot] = seed, WARMUP
            self.task_weights_NT[slot] = self.task.task_weights(scenario)
            pool = make_pool(self.task, scenario)
            pool_seed = seed if scenario.pool_seed is None else scenario.pool_seed
            self.sampler.reset(slot, pool_seed, min(scenario.pool_budgets * budget, pool.most_tokens), pool.natural_C)
            self.steering_number_N[slot], self.steering_key_N[slot] = scenario.reference_documents or 0, pool_seed
            self.on_trial_N[slot] = scenario.loss_part == "trial"
            self.quotas.check(slot)
            self.agents.roster.begin(slot, scenario, seed)
            self.backend.start(slot, seed, scenario.lr_scale)
        self.agents.reset(index)
        self.measuring.reset(index)
        self.weights_NK[index] = self.config.action_map.weights(np.zeros(self.mask_NK.shape), self.mask_NK)[index]
        self.tokens_N[index] = self.drawn_NC[index] = 0
        self.shares_NC[index] = self.sampler.natural_NC[index]
        return np.isin(np.arange(self.num_slots), index)

    def observe(self) -> Observation:
        """What the policies see now, of all N runs."""
        with self.stopwatch.part("observe"):
            known, roster = self._known(), self.agents.roster
            agents = computed(AGENT_FEATURES, known) * roster.present_NK[..., None]
            return Observation(agents, roster.mask_NK, computed(TRAINING_FEATURES, known))

    def _known(self) -> Known:
        total, sampler, measuring = self.config.budget_tokens(self.task.context), self.sampler, self.measuring
        z_NKC = self.agents.scores
        lift_NKT, lift_error_NKT = self.agents.lift(self.steering)
        return Known(
            z_NKC=z_NKC,
            mixed_NC=self.config.console.mixed_score(self.weights_NK, z_NKC, sampler.natural_NC),
            lift_NKT=lift_NKT,
            lift_error_NKT=lift_error_NKT,
            task_weights_NT=self.task_weights_NT,
            moves_NK=self.agents.roster.moves_NK,
            weights_NK=self.weights_NK,
            drift_NK=measuring.drift_NK,
            seen_gap_NK=measuring.seen_gap_NK,
            paper_reward_NK=measuring.paper_reward_NK,
            moments=measuring.moments,
            draw=Draw(
                shares_NC=self.shares_NC,
                used_NC=sampler.used_NC * self.task.cells.window_tokens_C,
                pool_NC=sampler.pool_tokens_NC,
                natural_NC=sampler.natural_NC,
                tokens_left_N=np.maximum(total - self.tokens_N, 0).astype(np.float64),
            ),
            progress_N=np.clip(self.tokens_N / total, 0, 1),
            lr_fraction_N=self.backend.learning_rate(),
            train_loss_N=self.train_loss_N,
            history=measuring.history,
        )

    def draw(self, weights: Array | None, active_N: Bools) -> Ids:
        """The windows of the coming interval of the active runs under `weights` (N, K); None: of their warm-up, under
        natural -> ids (N, steps, batch), which `train` takes. InputError: weights off the simplex, or an active
        run is done and has not entered anew."""
        steps = self.config.warmup_steps
        if weights is not None:
            weights, steps = check_weights(weights, self.mask_NK), self.config.steps_per_interval
            if self.done_N[active_N].any():
                raise InputError("a run is done, expected `enter` with a new scenario and seed for its slot")
            self.set_shares(weights, active_N)
            self.measuring.history.begin_interval(self.tokens_N, active_N)
        with self.stopwatch.part("select"):
            windows = self._windows(active_N, steps)
        self.in_hand = InHand(windows, active_N, 0, np.zeros(self.num_slots))
        return windows

    def set_shares(self, weights: Array, active_N: Bools) -> None:
        """Put the weights in force and set each cell's share under them."""
        with self.stopwatch.part("select"):
            self.weights_NK = np.where(active_N[:, None], weights, self.weights_NK)
            budget = self.config.steps_per_interval * self.config.batch_windows * self.task.context
            sampler = self.sampler
            shares_NC = self.config.console.shares(
                weights, self.agents.scores, sampler.natural_NC, sampler.pool_tokens_NC, sampler.epochs_NC, budget
            )
            self.shares_NC = shares_NC if active_N.all() else np.where(active_N[:, None], shares_NC, self.shares_NC)

    def _windows(self, active_N: Bools, steps: int) -> Ids:
        """Draw windows from the cells by their shares, (N, steps, batch)."""
        count = steps * self.config.batch_windows
        ids = np.full((self.num_slots, count), self.task.cells.window_ids(np.zeros(1, np.int64)))  # of the inactive
        slots, key_N = np.flatnonzero(active_N), stream_keys(self.seed_N, DRAW, self.interval_N + 1)
        if not len(slots):
            return ids.reshape(self.num_slots, steps, -1)
        left_N = self._steps_left_N()[slots] * self.config.batch_windows
        shares_NC, count_NC = self.quotas.counts(
            slots, self.shares_NC[slots], self.drawn_NC[slots], left_N, count, key_N[slots]
        )
        if self.quotas.limits:
            self.shares_NC = self.shares_NC.copy()  # it may be that of an interval that others hold
            self.shares_NC[slots] = shares_NC
        drawn = self.sampler.take(slots, count_NC)
        tokens_NC = sums_by_cell(self.task.windows.lengths(drawn), count_NC)
        ids[slots] = in_random_order(drawn, key_N[slots])
        self.drawn_NC[slots] += tokens_NC
        self.tokens_N[slots] += tokens_NC.sum(1)
        self.stopwatch.trained_tokens += int(tokens_NC.sum())
        return ids.reshape(self.num_slots, steps, -1)

    def _steps_left_N(self) -> NDArray[np.int64]:
        """Steps from the beginning of each run's coming interval to its end, (N,)."""
        clock = self.config
        done_N = clock.warmup_steps + self.interval_N * clock.steps_per_interval
        return clock.total_steps - np.where(self.interval_N == WARMUP, 0, done_N)

    def train(self, steps: int | None = None) -> Array:
        """Train the backend on the next `steps` steps of the interval in hand (default: all that are left) -> mean loss
        (N,), nats per token."""
        hand = self._drawn_interval()
        stop = hand.windows.shape[1] if steps is None else min(hand.steps_done + steps, hand.windows.shape[1])
        with self.stopwatch.part("train"):
            loss_N = self.backend.train(hand.windows[:, hand.steps_done : stop], hand.active_N)
        hand.loss_sum_N = hand.loss_sum_N + loss_N * (stop - hand.steps_done)
        hand.steps_done = stop
        return loss_N

    def measure(self, train_loss_N: Array | None = None) -> Interval:
        """What the interval in hand came to, at a mean training loss of `train_loss_N` (default: what `train` gave).
        The next decision is due, in runs that are not done."""
        hand, self.in_hand = self._drawn_interval(), None
        if train_loss_N is None:
            train_loss_N = hand.loss_sum_N / hand.windows.shape[1]
        active_N, number_N, measuring = hand.active_N, self.interval_N, self.measuring
        warmup_N, last_N = active_N & (number_N == WARMUP), active_N & (number_N == self.config.num_intervals - 1)
        self.train_loss_N = np.where(active_N, train_loss_N, self.train_loss_N)
        before_N = np.where(warmup_N, np.nan, measuring.history.last_end_N)
        loss_N, by_task_NT = measuring.validation_losses(
            self.task_weights_NT, self.seed_N, active_N, last_N, self.on_trial_N
        )
        diverged_N = active_N & ~warmup_N & ~(np.isfinite(loss_N) & np.isfinite(self.train_loss_N))
        measuring.history.begin(loss_N, warmup_N)
        going_N = active_N & ~last_N & ~diverged_N
        if going_N.any():
            measuring.probe(self.task_weights_NT, self.steering, self.seed_N, number_N + 1, going_N)
        measuring.history.add(loss_N, self.tokens_N, active_N & (number_N == 0), active_N & ~warmup_N)
        self.interval_N = np.where(diverged_N, self.config.num_intervals, number_N + active_N)
        return Interval(
            active_N=active_N,
            number_N=number_N,
            weights_NK=self.weights_NK,
            shares_NC=self.shares_NC,
            windows=hand.windows,
            train_loss_N=self.train_loss_N,
            loss_N=loss_N,
            fall_N=before_N - loss_N,
            by_task_NT=by_task_NT,
            tokens_N=self.tokens_N.copy(),
            done_N=self.done_N,
            diverged_N=diverged_N,
        )

    def run_interval(self, weights: Array | None, active_N: Bools | None = None) -> Interval:
        """Draw, train and measure one interval of the active runs (default: all) under `weights` (N, K); None: their
        warm-up, under natural. InputError: as `draw`."""
        # `draw` leaves the windows in `in_hand`, where `train` and `measure` find them.
        self.draw(weights, np.ones(self.num_slots, bool) if active_N is None else active_N)
        return self.measure(self.train())

    def _drawn_interval(self) -> InHand:
        if self.in_hand is None:
            raise InputError("no interval is in hand, expected `draw` before `train` and `measure`")
        return self.in_hand

    def state_dict(self) -> dict[str, NDArray]:
        """All that is needed to go on, but for the backend's own state and the scenarios, which the caller has."""
        state = copies(self, self._ARRAYS)
        for part in self._PARTS:
            state |= nested(part, getattr(self, part).state_dict())
        return state if self.in_hand is None else state | nested("in_hand", self.in_hand.state_dict())

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Go on exactly where `state_dict` was taken, with a backend that does too."""
        restore(self, self._ARRAYS, state)
        for part in self._PARTS:
            getattr(self, part).load_state_dict(under(part, state))
        in_hand = under("in_hand", state)
        self.in_hand = InHand.of_state(in_hand) if in_hand else None


def run_episode(
    episode: Episode,
    decide: Callable[[Episode], Array],
    *,
    active: Callable[[], Bools] | None = None,
    part_steps: int | None = None,
    on_draw: Callable[[], None] = lambda: None,
    on_part: Callable[[Array], None] = lambda loss_N: None,
    on_interval: Callable[[Interval], None] = lambda interval: None,
) -> None:
    """The loop: drive the runs that have entered, from wherever they stand, until none of them is active.

    decide: weights (N, K) for the coming interval, such as a policy's of `episode.observe()`; active: which runs go on
    (default: those that are not done). An interval is trained `part_steps` steps at a time (default: at once; to go on
    inside an interval, give them).
    on_draw hears that an interval was drawn, on_part the mean loss (N,) of a part of it, on_interval what it came to.
    An interval in hand, as after a restart, is finished first."""
    while True:
        if episode.in_hand is None:
            active_N = ~episode.done_N if active is None else active()
            if not active_N.any():
                return
            warmup = bool((episode.interval_N[active_N] == WARMUP).any())
            episode.draw(None if warmup else decide(episode), active_N)
            on_draw()
        train_loss_N = _train_in_parts(episode, part_steps, on_part)
        on_interval(episode.measure(train_loss_N))


def _train_in_parts(episode: Episode, part_steps: int | None, on_part: Callable[[Array], None]) -> Array | None:
    """Finish the interval in hand -> its mean loss, where it was trained at once."""
    if part_steps is None:
        return episode.train()
    while episode.in_hand is not None and episode.in_hand.steps_done < episode.in_hand.windows.shape[1]:
        on_part(episode.train(part_steps))
    return None
