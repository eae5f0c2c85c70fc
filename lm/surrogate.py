"""Surrogate: N language models that are formulas. The loss of each reference task falls by a power law in the data that
helped it; nothing is trained, and a step costs microseconds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .backend import Floats, Ids, Schedule
from .corpus.windows import MAX_PARTS, Windows, count_parts
from .keyed_random import Words, hash64, normals

LOSS, WINDOW, INFLUENCE = range(3)  # what a random number is for


@dataclass(frozen=True)
class Dynamics:
    """How data lowers losses.

    transfer_CT: what one fresh token of kind c is worth to task t at the start of training, and late_CT at its end
    (between them linear in progress); natural text is worth about 1. Task t's loss is floor + amplitude * (start +
    E / unit_tokens) ** -exponent, nats per token, E the effective tokens; the three numbers are the same for all tasks
    or one a task, (T,). The k-th repeat of a window is worth
    exp(-k / repeat_epochs) of a fresh one (arXiv 2305.16264, whose 15 epochs are for language models of every size
    it tried).

    The numbers are those of the quickstart's proxy: with them natural ends at 3.76 nats from 6.2, and a draw worth 2.5
    times natural gains .35, as measured there (.383). loss_sd: of a task's loss between runs that drew other text
    (measured .014). memorised: how much the first draw of a window lowers the loss of that very window beyond that of
    its kind, nats per token; the k-th lowers it by exp(-(k - 1) / repeat_epochs) of that (assumed). window_sd: of the
    loss between windows of one task (assumed). influence_noise: of one window's influence, over the root mean square of
    the influence itself (assumed). rate_cost: with s times the right learning rates exp(-rate_cost * log(s)**2) of the
    tokens are of use (half the rates cost the quickstart's proxy .034 nats: that many)."""

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
        """Of E effective tokens, of the same shape, nats per token."""
        return self.floor + self.amplitude * (self.start + effective_NT / self.unit_tokens) ** -self.exponent

    def slope(self, effective_NT: Floats) -> Floats:
        """How much one more effective token lowers the loss, of the same shape."""
        there = (self.start + effective_NT / self.unit_tokens) ** (-self.exponent - 1)
        return self.amplitude * self.exponent * there / self.unit_tokens

    def by_heart(self, times: NDArray[np.number]) -> Floats:
        """How much lower the loss of a window is after so many draws of it, of the same shape, nats per token."""
        known = np.expm1(times / -self.repeat_epochs) / np.expm1(-1 / self.repeat_epochs)
        return np.asarray(self.memorised * known, np.float64)

    def transfer(self, progress_N: Floats) -> Floats:
        """Worth of a fresh token at that share of the training, (N, C, T)."""
        late = progress_N[:, None, None]
        return (1 - late) * self.transfer_CT + late * self.late_CT


class Surrogate:
    """A backend of `num_slots` runs. kind_D: (D,) which kind of text (row of the transfer) each document is; task_D:
    (D,) which reference task it belongs to, where it does. All randomness is a function of the run's seed and of what
    it has drawn, so that twins that draw the same text stay twins."""

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
        self._near_CT = dynamics.transfer_CT / dynamics.transfer_CT.sum(1, keepdims=True)
        self.seed_N = np.zeros(num_slots, np.uint64)
        self.drawn_N = np.zeros(num_slots, np.uint64)  # a digest of the windows drawn so far
        self.steps_N = np.zeros(num_slots, np.int64)
        self.effective_NT = np.zeros((num_slots, num_tasks))
        self.pace_N = np.ones(num_slots)  # how many of its tokens a run makes use of, at its learning rate
        self.times_NW = np.zeros((num_slots, int(parts.sum())), np.uint16)  # each window was drawn

    def start(self, slot: int, seed: int, lr_scale: float = 1.0) -> None:
        self.seed_N[slot] = seed
        self.pace_N[slot] = np.exp(-self.dynamics.rate_cost * np.log(lr_scale) ** 2)
        self.drawn_N[slot] = self.steps_N[slot] = self.effective_NT[slot] = 0
        self.times_NW[slot] = 0

    def learning_rate(self) -> Floats:
        return self.schedule.fraction(self.steps_N)

    @property
    def progress_N(self) -> Floats:
        return np.minimum(self.steps_N / self.schedule.total_steps, 1.0)

    def train(self, windows: Ids, active: NDArray[np.bool_]) -> Floats:
        num_slots, num_steps, _ = windows.shape
        ids_NM = windows.reshape(num_slots, -1)
        kind_NM, times_NM = self._kind_D[self.windows.document(ids_NM)], self._count(ids_NM, active)
        value_NM = self.windows.lengths(ids_NM) * np.exp(times_NM / -self.dynamics.repeat_epochs)
        before_N, num_kinds = self.progress_N, len(self.dynamics.transfer_CT)
        self.steps_N[active] += num_steps
        place = kind_NM + np.arange(num_slots)[:, None] * num_kinds
        value_NC = np.bincount(place.ravel(), value_NM.ravel(), num_slots * num_kinds).reshape(num_slots, num_kinds)
        transfer_NCT = self.dynamics.transfer((before_N + self.progress_N) / 2)
        loss_NT = self.dynamics.loss(self.effective_NT)
        self.effective_NT += (active * self.pace_N)[:, None] * np.einsum("nc,nct->nt", value_NC, transfer_NCT)
        loss_NT = (loss_NT + self.dynamics.loss(self.effective_NT)) / 2
        self.drawn_N[active] += hash64(ids_NM.astype(np.uint64)).sum(1)[active]
        loss_N = np.einsum("nmt,nt->n", self._near_CT[kind_NM], loss_NT) / ids_NM.shape[1]
        loss_N -= self.dynamics.by_heart(times_NM).mean(1)
        return np.where(active, loss_N, np.nan)

    def _count(self, ids_NM: Ids, active: NDArray[np.bool_]) -> Floats:
        """How often each window was drawn before, (N, M), and count it as drawn once more."""
        place_NM = self._place(ids_NM)
        flat = self.times_NW.reshape(-1)
        order_NM = place_NM.argsort(axis=1, kind="stable")
        sorted_NM, column_M = np.take_along_axis(place_NM, order_NM, 1), np.arange(place_NM.shape[1])
        same_NM = sorted_NM[:, 1:] == sorted_NM[:, :-1]  # as the draw before it in that order
        first_NM, last_NM = np.ones((2, *place_NM.shape), bool)
        first_NM[:, 1:], last_NM[:, :-1] = ~same_NM, ~same_NM
        # Which of this call's draws of the window it is.
        turn_NM = column_M - np.maximum.accumulate(np.where(first_NM, column_M, 0), 1)
        times_NM = np.empty(place_NM.shape)
        np.put_along_axis(times_NM, order_NM, flat[sorted_NM] + turn_NM, 1)
        last_NM &= active[:, None]
        flat[sorted_NM[last_NM]] += (turn_NM[last_NM] + 1).astype(np.uint16)
        return times_NM

    def evaluate(self, windows: Ids, averaged: bool) -> Floats:
        task_NB = self._task_D[self.windows.document(windows)]
        tasks = np.arange(self.effective_NT.shape[1]).astype(np.uint64)
        noise_NT = normals(self._key(LOSS)[:, None] ^ hash64(tasks)[None])
        loss_NT = self.dynamics.loss(self.effective_NT) + self.dynamics.loss_sd * noise_NT
        return np.take_along_axis(loss_NT, task_NB, 1) + self._offset(windows)

    def influence(self, reference: Ids, weight: Floats, probe: Ids, stride: int) -> tuple[Floats, Floats, Floats]:
        dynamics, num_tasks = self.dynamics, self.effective_NT.shape[1]
        task_NGR = self._task_D[self.windows.document(reference)]
        share_NGT = (task_NGR[..., None] == np.arange(num_tasks)).mean(2)
        worth_NGT = share_NGT * dynamics.slope(self.effective_NT)[:, None]
        worth_NGC = np.einsum("nct,ngt->ngc", dynamics.transfer(self.progress_N), worth_NGT)
        kind_NP = self._kind_D[self.windows.document(probe)]
        times_NP = self.times_NW.reshape(-1)[self._place(probe)]
        fresh_NP = np.exp(times_NP / -dynamics.repeat_epochs)
        worth_NC = np.einsum("ngc,ng->nc", worth_NGC, weight)
        clean_NP = np.take_along_axis(worth_NC, kind_NP, 1) * fresh_NP
        alone_NGS = np.take_along_axis(worth_NGC, kind_NP[:, None, ::stride], 2) * fresh_NP[:, None, ::stride]
        key_NP = self._key(INFLUENCE)[:, None] ^ hash64(probe.astype(np.uint64))
        group_G = np.arange(1, reference.shape[1] + 1).astype(np.uint64)
        clean_NP += self._measuring(clean_NP, key_NP)
        alone_NGS += self._measuring(alone_NGS, hash64(key_NP[:, None, ::stride] + group_G[:, None]))
        loss_NT = dynamics.loss(self.effective_NT)
        loss_NP = np.einsum("npt,nt->np", self._near_CT[kind_NP], loss_NT) + self._offset(probe)
        return clean_NP, loss_NP, alone_NGS

    def _measuring(self, clean: Floats, key: Words) -> Floats:
        """The noise of measured influence, of the same shape (..., P)."""
        rms = np.sqrt((clean**2).mean(-1, keepdims=True))
        return np.asarray(self.dynamics.influence_noise * rms * normals(key), np.float64)

    def _place(self, ids_NM: Ids) -> NDArray[np.int64]:
        number = self._first_D[self.windows.document(ids_NM)] + (ids_NM & (MAX_PARTS - 1))
        return number + np.arange(self.num_slots)[:, None] * self.times_NW.shape[1]

    def _key(self, purpose: int) -> Words:
        return hash64(hash64(self.seed_N + np.uint64(purpose)) ^ self.drawn_N)

    def _offset(self, ids_NM: Ids) -> Floats:
        """How much harder than others of its kind a window is: whoever reads it, and, less, who has read it before."""
        hardness_NM = self.dynamics.window_sd * normals(hash64(ids_NM.astype(np.uint64)) + np.uint64(WINDOW))
        return hardness_NM - self.dynamics.by_heart(self.times_NW.reshape(-1)[self._place(ids_NM)])

    def state_dict(self) -> dict[str, NDArray]:
        return {
            "seed": self.seed_N.copy(),
            "drawn": self.drawn_N.copy(),
            "steps": self.steps_N.copy(),
            "effective": self.effective_NT.copy(),
            "times": self.times_NW.copy(),
            "pace": self.pace_N.copy(),
        }

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        self.seed_N, self.drawn_N, self.steps_N = state["seed"].copy(), state["drawn"].copy(), state["steps"].copy()
        self.effective_NT, self.times_NW = state["effective"].copy(), state["times"].copy()
        self.pace_N = state["pace"].copy()
