"""Surrogate: N runs whose losses are formulas instead of language models. The loss of each reference task falls by a
power law in the data that helped it; nothing is trained, and a step costs microseconds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backend import Floats, Ids, Schedule
from .corpus.windows import MAX_PARTS, Windows, count_parts
from .keyed_random import Words, hash64, normals

LOSS, WINDOW, INFLUENCE = range(3)  # purposes of random numbers


@dataclass(frozen=True)
class Dynamics:
    """How data lowers losses.

    transfer_CT: what one fresh token of kind c is worth to task t at the start of training, and late_CT at its end
    (between them linear in progress); natural text is worth about 1. Task t's loss is floor + amplitude * (start +
    effective tokens / unit_tokens) ** -exponent, nats per token; floor, amplitude and exponent are the same for all
    tasks or one a task, (T,). The k-th repeat of a window is worth exp(-k / repeat_epochs) of a fresh one (arXiv
    2305.16264, whose 15 epochs are for language models of every size it tried).

    The defaults stand for the quickstart's proxy: with them natural falls from 6.2 to 3.76 nats, and a draw worth
    2.5 times natural gains .35 (measured on the proxy: .383). loss_sd: standard deviation of a task's loss between runs
    that drew other text (measured .014). memorised: how much the first draw of a window lowers the loss of that very
    window beyond that of its kind, nats per token; the k-th lowers it by exp(-(k - 1) / repeat_epochs) of that
    (assumed). window_sd: standard deviation of the loss between windows of one task (assumed). influence_noise:
    standard deviation of one window's measured influence, over the root mean square of influence itself (assumed).
    rate_cost: at s times the best learning rates a share exp(-rate_cost * log(s)**2) of the tokens is of use (measured:
    half the rates cost the quickstart's proxy .034 nats, which this gives)."""

    transfer_CT: Floats
    late_CT: Floats
    unit_tokens: float
    floor: float | Floats = 2.5
    amplitude: float | Floats = 1.28
    exponent: float | Floats = 0.355
    start: float = 0.05
    repeat_epochs: float = 15.0
    loss_sd: float = 0.014
    memorised: float = 0.02
    window_sd: float = 0.5
    influence_noise: float = 3.0
    rate_cost: float = 0.16

    def loss(self, effective_NT: Floats) -> Floats:
        """Loss after so many effective tokens, of the same shape, nats per token."""
        return self.floor + self.amplitude * (self.start + effective_NT / self.unit_tokens) ** -self.exponent

    def slope(self, effective_NT: Floats) -> Floats:
        """How much one more effective token lowers the loss, of the same shape."""
        power_NT = (self.start + effective_NT / self.unit_tokens) ** (-self.exponent - 1)
        return self.amplitude * self.exponent * power_NT / self.unit_tokens

    def pace(self, lr_scale: float) -> float:
        """The share of its tokens that is of use to a run at so many times the best learning rates."""
        return float(np.exp(-self.rate_cost * np.log(lr_scale) ** 2))

    def memorised_loss(self, times: NDArray[np.number]) -> Floats:
        """How much lower the loss of a window is after so many draws of it, of the same shape, nats per token."""
        share = np.expm1(times / -self.repeat_epochs) / np.expm1(-1 / self.repeat_epochs)
        return np.asarray(self.memorised * share, np.float64)

    def transfer(self, progress_N: Floats) -> Floats:
        """Worth of a fresh token at that share of the training, (N, C, T)."""
        late = progress_N[:, None, None]
        return (1 - late) * self.transfer_CT + late * self.late_CT


class Surrogate:
    """A backend of `num_slots` runs. kind_D: which kind of text (row of `transfer_CT`) each document is; task_D: which
    reference task it belongs to, for reference documents. All randomness depends only on the run's seed and on what it
    has drawn, so that runs of one seed that draw the same text stay the same."""

    num_params = 0

    def __init__(
        self,
        dynamics: Dynamics,
        windows: Windows,
        kind_D: NDArray[np.intp],
        task_D: NDArray[np.intp],
        schedule: Schedule,
        num_slots: int,
    ) -> None:
        self.dynamics, self.windows, self.schedule, self.num_slots = dynamics, windows, schedule, num_slots
        self._kind_D, self._task_D = kind_D, task_D
        parts = count_parts(np.diff(windows.corpus.token_offsets), windows.context)
        self._first_D = np.cumsum(parts) - parts
        num_tasks = dynamics.transfer_CT.shape[1]
        # The training loss on a kind of text is the mean over tasks, weighted by these shares.
        self._task_share_CT = dynamics.transfer_CT / dynamics.transfer_CT.sum(1, keepdims=True)
        self.seed_N = np.zeros(num_slots, np.uint64)
        self.drawn_N = np.zeros(num_slots, np.uint64)  # a digest of the windows drawn so far
        self.steps_N = np.zeros(num_slots, np.int64)
        self.effective_NT = np.zeros((num_slots, num_tasks))
        self.pace_N = np.ones(num_slots)  # share of its tokens that is of use to a run, by its learning rate
        self.draws_NW = np.zeros((num_slots, int(parts.sum())), np.uint16)  # how often each was drawn

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        self.seed_N[slot] = seed
        self.pace_N[slot] = self.dynamics.pace(lr_scale)
        self.drawn_N[slot] = self.steps_N[slot] = self.effective_NT[slot] = 0
        self.draws_NW[slot] = 0

    def learning_rate(self) -> Floats:
        return self.schedule.fraction(self.steps_N)

    @property
    def progress_N(self) -> Floats:
        return np.minimum(self.steps_N / self.schedule.total_steps, 1.0)

    def train(self, ids: Ids, active: NDArray[np.bool_]) -> Floats:
        num_slots, num_steps, _ = ids.shape
        ids_NW = ids.reshape(num_slots, -1)
        kind_NW, times_NW = self._kind_D[self.windows.document(ids_NW)], self._count(ids_NW, active)
        value_NW = self.windows.lengths(ids_NW) * np.exp(times_NW / -self.dynamics.repeat_epochs)
        before_N, num_kinds = self.progress_N, len(self.dynamics.transfer_CT)
        self.steps_N[active] += num_steps
        place = kind_NW + np.arange(num_slots)[:, None] * num_kinds
        value_NC = np.bincount(place.ravel(), value_NW.ravel(), num_slots * num_kinds).reshape(num_slots, num_kinds)
        transfer_NCT = self.dynamics.transfer((before_N + self.progress_N) / 2)
        loss_NT = self.dynamics.loss(self.effective_NT)
        self.effective_NT += (active * self.pace_N)[:, None] * np.einsum("nc,nct->nt", value_NC, transfer_NCT)
        loss_NT = (loss_NT + self.dynamics.loss(self.effective_NT)) / 2
        self.drawn_N[active] += hash64(ids_NW.astype(np.uint64)).sum(1)[active]
        loss_N = np.einsum("nmt,nt->n", self._task_share_CT[kind_NW], loss_NT) / ids_NW.shape[1]
        loss_N -= self.dynamics.memorised_loss(times_NW).mean(1)
        return np.where(active, loss_N, np.nan)

    def _count(self, ids_NW: Ids, active: NDArray[np.bool_]) -> Floats:
        """How often each window was drawn before, (N, W); then count this draw."""
        place_NW = self._place(ids_NW)
        flat = self.draws_NW.reshape(-1)
        order_NW = place_NW.argsort(axis=1, kind="stable")
        sorted_NW, column_W = np.take_along_axis(place_NW, order_NW, 1), np.arange(place_NW.shape[1])
        same_NW = sorted_NW[:, 1:] == sorted_NW[:, :-1]  # the same window as the draw before it in that order
        first_NW, last_NW = np.ones((2, *place_NW.shape), bool)
        first_NW[:, 1:], last_NW[:, :-1] = ~same_NW, ~same_NW
        # How many of this call's draws of the window come before this one.
        turn_NW = column_W - np.maximum.accumulate(np.where(first_NW, column_W, 0), 1)
        times_NW = np.empty(place_NW.shape)
        np.put_along_axis(times_NW, order_NW, flat[sorted_NW] + turn_NW, 1)
        last_NW &= active[:, None]
        flat[sorted_NW[last_NW]] += (turn_NW[last_NW] + 1).astype(np.uint16)
        return times_NW

    def evaluate(self, ids: Ids, averaged: bool) -> Floats:
        task_NW = self._task_D[self.windows.document(ids)]
        tasks = np.arange(self.effective_NT.shape[1]).astype(np.uint64)
        noise_NT = normals(self._key(LOSS)[:, None] ^ hash64(tasks)[None])
        loss_NT = self.dynamics.loss(self.effective_NT) + self.dynamics.loss_sd * noise_NT
        return np.take_along_axis(loss_NT, task_NW, 1) + self._offset(ids)

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        dynamics, num_tasks = self.dynamics, self.effective_NT.shape[1]
        task = self._task_D[self.windows.document(reference)]  # (N, groups, W)
        task_share = (task[..., None] == np.arange(num_tasks)).mean(2)
        task_worth = task_share * dynamics.slope(self.effective_NT)[:, None]
        cell_worth = np.einsum("nct,ngt->ngc", dynamics.transfer(self.progress_N), task_worth)
        kind_NP = self._kind_D[self.windows.document(probe)]
        times_NP = self.draws_NW.reshape(-1)[self._place(probe)]
        fresh_NP = np.exp(times_NP / -dynamics.repeat_epochs)
        worth_NC = np.einsum("ngc,ng->nc", cell_worth, weight)
        clean_NP = np.take_along_axis(worth_NC, kind_NP, 1) * fresh_NP
        by_group = np.take_along_axis(cell_worth, kind_NP[:, None, ::stride], 2) * fresh_NP[:, None, ::stride]
        key_NP = self._key(INFLUENCE)[:, None] ^ hash64(probe.astype(np.uint64))
        group_number = np.arange(1, reference.shape[1] + 1).astype(np.uint64)
        clean_NP += self._measurement_noise(clean_NP, key_NP)
        by_group += self._measurement_noise(by_group, hash64(key_NP[:, None, ::stride] + group_number[:, None]))
        loss_NT = dynamics.loss(self.effective_NT)
        loss_NP = np.einsum("npt,nt->np", self._task_share_CT[kind_NP], loss_NT) + self._offset(probe)
        return clean_NP, loss_NP, by_group

    def _measurement_noise(self, clean: Floats, key: Words) -> Floats:
        """The noise of measured influence (..., P), of the same shape."""
        rms = np.sqrt((clean**2).mean(-1, keepdims=True))
        return np.asarray(self.dynamics.influence_noise * rms * normals(key), np.float64)

    def _place(self, ids_NW: Ids) -> NDArray[np.int64]:
        """Index of each run's windows in the flattened table of draws."""
        number = self._first_D[self.windows.document(ids_NW)] + (ids_NW & (MAX_PARTS - 1))
        return number + np.arange(self.num_slots)[:, None] * self.draws_NW.shape[1]

    def _key(self, purpose: int) -> Words:
        """A key for each run's random numbers, (N,)."""
        return hash64(hash64(self.seed_N + np.uint64(purpose)) ^ self.drawn_N)

    def _offset(self, ids_NW: Ids) -> Floats:
        """How much a window's loss is above that of its kind, (N, W): its own difficulty, less what is memorised."""
        hardness_NW = self.dynamics.window_sd * normals(hash64(ids_NW.astype(np.uint64)) + np.uint64(WINDOW))
        return hardness_NW - self.dynamics.memorised_loss(self.draws_NW.reshape(-1)[self._place(ids_NW)])

    def state_dict(self) -> dict[str, NDArray]:
        return {
            "seed": self.seed_N.copy(),
            "drawn": self.drawn_N.copy(),
            "steps": self.steps_N.copy(),
            "effective": self.effective_NT.copy(),
            "times": self.draws_NW.copy(),
            "pace": self.pace_N.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.seed_N, self.drawn_N, self.steps_N = state["seed"].copy(), state["drawn"].copy(), state["steps"].copy()
        self.effective_NT, self.draws_NW = state["effective"].copy(), state["times"].copy()
        self.pace_N = state["pace"].copy()
