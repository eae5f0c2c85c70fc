"""The roster of an episode: which agents stand in the rows of N runs, some absent, some twice, some noisy."""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.keyed_random import Words, hash64, normals
from ..agents.base import Agent
from .scenario import Scenario

Array = NDArray[np.float64]
Scales = dict[tuple[int, int], tuple[float, float]]
NOISE = np.uint64(2**33)  # keeps these random numbers apart from others of the same seed


class Roster:
    """shown_NK: the agent that stands in each row, its own or a copy; present_NK: whether one does; noise_NK: how much
    of its scores is chance; key_NK: which chance. weighted_K: whether the row's own agent takes weight."""

    def __init__(self, agents: list[Agent], columns: list[str], num_slots: int) -> None:
        self.names = [agent.name for agent in agents]
        self.weighted_K = np.array([agent.weighted for agent in agents])
        self.moves_K = np.array([agent.moves for agent in agents])
        self.column_K = np.array([columns.index(name) if name in columns else -1 for name in self.names])
        shape = num_slots, len(agents)
        self.shown_NK = np.tile(np.arange(len(agents)), (num_slots, 1))
        self.present_NK = np.ones(shape, bool)
        self.noise_NK, self.key_NK = np.zeros(shape), np.zeros(shape, np.uint64)

    @property
    def mask_NK(self) -> NDArray[np.bool_]:
        """Whether the agent in a row takes weight."""
        return self.present_NK & self.weighted_K

    @property
    def column_NK(self) -> NDArray[np.intp]:
        """The label column of the agent in each row, -1 where it has none."""
        return self.column_K[self.shown_NK]

    @property
    def moves_NK(self) -> Array:
        """1 where feedback moves the agent in the row."""
        return self.moves_K[self.shown_NK].astype(np.float64)

    def begin(self, slot: int, scenario: Scenario, seed: int) -> None:
        """Roster `slot` as the scenario says. InputError: agents that there are not, or that cannot be so."""
        row = {name: index for index, name in enumerate(self.names)}
        named = [
            *scenario.absent,
            *(name for pair in scenario.copies for name in pair),
            *(n for n, _ in scenario.noise),
        ]
        for name in named:
            if name not in row or name == "null":
                raise InputError(f"scenario names agent '{name}'; {nearest(name, self.names[1:])}")
        self.shown_NK[slot] = np.arange(len(row))
        self.present_NK[slot], self.noise_NK[slot] = True, 0.0
        for name, other in scenario.copies:
            self.shown_NK[slot, row[name]] = row[other]
        for name in scenario.absent:
            self.present_NK[slot, row[name]] = False
        if not self.mask_NK[slot, 1:].any():
            raise InputError(f"scenario leaves no agent that takes weight, absent are {', '.join(scenario.absent)}")
        for name, share in scenario.noise:
            shown = self.shown_NK[slot, row[name]]
            if self.moves_K[shown] or self.column_K[shown] < 0:
                raise InputError(f"scenario makes '{name}' noisy, expected a static agent with a label column")
            self.noise_NK[slot, row[name]] = share
        of_row: Words = np.arange(len(row), dtype=np.uint64) + NOISE
        self.key_NK[slot] = hash64(hash64(np.full(len(row), seed, np.uint64)) + of_row)

    def rows(self, of_agents_NKX: NDArray) -> NDArray:
        """What is known of each agent, as it stands in the rows, (N, K, X)."""
        if (self.shown_NK == np.arange(len(self.names))).all():
            return of_agents_NKX
        return np.take_along_axis(of_agents_NKX, self.shown_NK[:, :, None], 1)

    def noise_scales(self, z_NKC: Array, labels_CA: NDArray[np.uint16], natural_NC: Array) -> Scales:
        """Mean and spread over the pool of the noisy rows' scores, by slot and row."""
        scales = {}
        for slot, row in np.argwhere(self.noise_NK > 0).tolist():
            noisy_C, natural_C = self._noisy(slot, row, z_NKC, labels_CA), natural_NC[slot]
            mean = float((noisy_C * natural_C).sum())
            spread = float(np.sqrt(((noisy_C - mean) ** 2 * natural_C).sum()))
            scales[slot, row] = mean, max(spread, 1e-9)
        return scales

    def blend(self, z_NKX: Array, labels_XA: NDArray[np.uint16], scales: Scales) -> None:
        """Make standardised scores of things with these labels noisy, and 0 for absent agents, in place. A category
        keeps its chance throughout a run."""
        for (slot, row), (mean, spread) in scales.items():
            noisy_X = self._noisy(slot, row, z_NKX, labels_XA)
            z_NKX[slot, row] = np.clip((noisy_X - mean) / spread, -5, 5)
        z_NKX[~self.present_NK] = 0.0

    def _noisy(self, slot: int, row: int, z_NKX: Array, labels_XA: NDArray[np.uint16]) -> Array:
        share = self.noise_NK[slot, row]
        label_X: Words = labels_XA[:, self.column_NK[slot, row]].astype(np.uint64)
        chance_X = normals(hash64(self.key_NK[slot, row] ^ hash64(label_X)))
        return np.asarray(np.sqrt(1 - share**2) * z_NKX[slot, row] + share * chance_X, np.float64)

    def state_dict(self) -> dict[str, NDArray]:
        """Who stands where."""
        names = ("shown", "present", "noise", "key")
        return {name: getattr(self, f"{name}_NK").copy() for name in names}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, f"{name}_NK", value.copy())
