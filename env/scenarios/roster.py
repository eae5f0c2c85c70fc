"""The roster of an episode: which agent stands in each place of N runs. An agent may be absent, twice there, or noisy.

A place is an entry along K: an agent's row of the observation and its weight.
"""

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.files import nearest
from ...lm.keyed_random import Words, hash64, normals
from ..agents.base import Agent
from .scenario import Scenario

Array = NDArray[np.float64]
NoiseScales = dict[tuple[int, int], tuple[float, float]]  # by slot and place: mean and spread of a noisy agent's scores
SAVED = {"shown": "agent_NK", "present": "present_NK", "noise": "noise_NK", "key": "key_NK"}  # keys of a state
NOISE = np.uint64(2**33)  # keeps these random numbers apart from others of the same seed


class Roster:
    """agent_NK: the index of the agent in each place, its own or another one's copy; present_NK: whether there is one;
    noise_NK: the share of its scores that is chance, in [0, 1]; key_NK: of the random numbers of that chance;
    weighted_K: whether the place's own agent takes weight; moves_K: whether feedback moves it; column_K: its label
    column, -1 where it has none."""

    def __init__(self, agents: list[Agent], columns: list[str], num_slots: int) -> None:
        self.names = [agent.name for agent in agents]
        self.weighted_K = np.array([agent.weighted for agent in agents])
        self.moves_K = np.array([agent.moves for agent in agents])
        self.column_K = np.array([columns.index(name) if name in columns else -1 for name in self.names])
        shape = num_slots, len(agents)
        self.agent_NK = np.tile(np.arange(len(agents)), (num_slots, 1))
        self.present_NK = np.ones(shape, bool)
        self.noise_NK, self.key_NK = np.zeros(shape), np.zeros(shape, np.uint64)

    @property
    def mask_NK(self) -> NDArray[np.bool_]:
        """Whether the place takes weight."""
        return self.present_NK & self.weighted_K

    @property
    def column_NK(self) -> NDArray[np.intp]:
        """The label column of the agent in each place, -1 where it has none."""
        return self.column_K[self.agent_NK]

    @property
    def moves_NK(self) -> Array:
        """1 where feedback moves the agent in the place."""
        return self.moves_K[self.agent_NK].astype(np.float64)

    def begin(self, slot: int, scenario: Scenario, seed: int) -> None:
        """Fill the places of run `slot` as the scenario says. InputError: it names agents that do not exist, makes an
        agent noisy that cannot be, or leaves none that takes weight."""
        place = {name: index for index, name in enumerate(self.names)}
        copied, noisy = (name for pair in scenario.copies for name in pair), (name for name, _ in scenario.noise)
        for name in [*scenario.absent, *copied, *noisy]:
            if name not in place or name == "null":
                raise InputError(f"scenario names agent '{name}'; {nearest(name, self.names[1:])}")
        self.agent_NK[slot] = np.arange(len(place))
        self.present_NK[slot], self.noise_NK[slot] = True, 0.0
        for name, other in scenario.copies:
            self.agent_NK[slot, place[name]] = place[other]
        for name in scenario.absent:
            self.present_NK[slot, place[name]] = False
        if not self.mask_NK[slot, 1:].any():
            raise InputError(f"scenario leaves no agent that takes weight, absent are {', '.join(scenario.absent)}")
        for name, share in scenario.noise:
            agent = self.agent_NK[slot, place[name]]
            if self.moves_K[agent] or self.column_K[agent] < 0:
                raise InputError(f"scenario makes '{name}' noisy, expected a static agent with a label column")
            self.noise_NK[slot, place[name]] = share
        of_place_K: Words = np.arange(len(place), dtype=np.uint64) + NOISE
        self.key_NK[slot] = hash64(hash64(np.full(len(place), seed, np.uint64)) + of_place_K)

    def by_place(self, by_agent: NDArray) -> NDArray:
        """An array (N, K, any) of the agents in the task's order -> the same of the agents in their places."""
        if (self.agent_NK == np.arange(len(self.names))).all():
            return by_agent
        return np.take_along_axis(by_agent, self.agent_NK[:, :, None], 1)

    def noise_scales(self, z_NKC: Array, labels_CA: NDArray[np.uint16], natural_NC: Array) -> NoiseScales:
        """Mean and spread over the pool of the noisy agents' scores."""
        scales = {}
        for slot, place in np.argwhere(self.noise_NK > 0).tolist():
            noisy_C, natural_C = self._noisy(slot, place, z_NKC, labels_CA), natural_NC[slot]
            mean = float((noisy_C * natural_C).sum())
            spread = float(np.sqrt(((noisy_C - mean) ** 2 * natural_C).sum()))
            scales[slot, place] = mean, max(spread, 1e-9)
        return scales

    def apply_to(self, z: Array, labels: NDArray[np.uint16], scales: NoiseScales) -> None:
        """Make standardised scores noisy where the scenario says so, and 0 for absent agents, in place. z: (N, K, M) of
        M cells or documents that carry `labels` (M, A). Within a run a category always gets the same noise."""
        for (slot, place), (mean, spread) in scales.items():
            noisy = self._noisy(slot, place, z, labels)
            z[slot, place] = np.clip((noisy - mean) / spread, -5, 5)
        z[~self.present_NK] = 0.0

    def _noisy(self, slot: int, place: int, z: Array, labels: NDArray[np.uint16]) -> Array:
        """Scores of one place (M,) with its share of chance, not yet standardised again."""
        share = self.noise_NK[slot, place]
        label: Words = labels[:, self.column_NK[slot, place]].astype(np.uint64)
        chance = normals(hash64(self.key_NK[slot, place] ^ hash64(label)))
        return np.asarray(np.sqrt(1 - share**2) * z[slot, place] + share * chance, np.float64)

    def state_dict(self) -> dict[str, NDArray]:
        """Which agents stand in which places, and their noise."""
        return {key: getattr(self, name).copy() for key, name in SAVED.items()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        for key, value in state.items():
            setattr(self, SAVED[key], value.copy())
