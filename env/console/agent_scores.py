"""The agents of an episode, and the standardised scores that they give in N runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.state import nested, under
from ..agents.base import Feedback
from ..cells.sampler import CellSampler
from ..scenarios.roster import Roster, Scales
from ..scenarios.task import Task

Array = NDArray[np.float64]
ROSTER = "roster/"  # of its part of the state: no agent's name ends so


@dataclass(frozen=True)
class Standardiser:
    """Mean and spread (N, K) of agents' scores over the tokens of each run's pool."""

    mean_NK: Array
    spread_NK: Array

    @classmethod
    def of(cls, score_NKC: Array, natural_NC: Array) -> "Standardiser":
        mean = (score_NKC @ natural_NC[:, :, None])[..., 0]
        square = ((score_NKC - mean[..., None]) ** 2 @ natural_NC[:, :, None])[..., 0]
        return cls(mean, np.sqrt(square))

    def __call__(self, score_NKM: Array) -> Array:
        """Scores in deviations from the pool's mean, within [-5, 5]; 0 where an agent cannot tell (NaN) and for
        an agent without preference."""
        spread = self.spread_NK[..., None]
        centred = score_NKM - self.mean_NK[..., None]
        known = (spread > 1e-9) & ~np.isnan(centred)
        return np.clip(np.where(known, centred / np.maximum(spread, 1e-9), 0.0), -5, 5)


class AgentScores:
    """The agents of `task`, at work in `num_slots` runs. Scores of the cells are kept until agents learn or forget:
    they do not depend on the weights, and there may be hundreds of thousands of cells. Standardised means over the text
    of a run's pool, which `draws` knows."""

    def __init__(self, task: Task, draws: CellSampler) -> None:
        self.task, self.draws, self.members = task, draws, task.make_agents()
        num_slots = len(draws.seed_N)
        self.roster = Roster(self.members, list(task.layout.columns), num_slots)
        for agent in self.members:
            agent.start(num_slots, task.layout)
        self._kept: tuple[Array, Standardiser, Scales] | None = None

    @property
    def scores(self) -> Array:
        """Standardised scores of the cells, row by row of the roster, (N, K, C)."""
        return self._standardised()[0]

    def lift(self) -> Array:
        """Mean standardised score of each reference task's validation documents, (N, K, T); 0 for agents that cannot
        tell of text that is new to them."""
        labels_RA, known_KR = self.task.reference_labels, self.task.reference_known
        score_NKR = self.roster.rows(np.stack([agent.score(labels_RA) for agent in self.members], 1))
        _, standardiser, scales = self._standardised()
        z_NKR = standardiser(score_NKR)
        self.roster.blend(z_NKR, labels_RA, scales)
        return (z_NKR * known_KR[self.roster.shown_NK]) @ self.task.reference_share.T

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what the runs `slots` taught."""
        for agent in self.members:
            agent.reset(slots)
        self._kept = None

    def update(self, feedback: Feedback) -> None:
        """Learn from one probe of all N runs."""
        for agent in self.members:
            agent.update(feedback)
        self._kept = None

    def _standardised(self) -> tuple[Array, Standardiser, Scales]:
        """The scores, what standardises them, and the scales of the noisy ones."""
        if self._kept is None:
            labels_CA, natural_NC = self.task.cells.labels_CA, self.draws.natural_NC
            score_NKC = np.stack([agent.score_cells(labels_CA) for agent in self.members], 1)
            if not np.isfinite(score_NKC).all():
                worst = self.members[int(np.argmin(np.isfinite(score_NKC).all((0, 2))))].name
                raise InputError(
                    f"agent '{worst}' gave NaN or infinite priorities, expected finite ones: run "
                    "pretraingym.env.check_agent on it"
                )
            shown_NKC = self.roster.rows(score_NKC)
            standardiser = Standardiser.of(shown_NKC, natural_NC)
            z_NKC = standardiser(shown_NKC)
            scales = self.roster.noise_scales(z_NKC, labels_CA, natural_NC)
            self.roster.blend(z_NKC, labels_CA, scales)
            self._kept = z_NKC, standardiser, scales
        return self._kept

    def state_dict(self) -> dict[str, NDArray]:
        """The roster, and the members' states under their names."""
        state = nested(ROSTER, self.roster.state_dict())
        for agent in self.members:
            state |= nested(agent.name, agent.state_dict())
        return state

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        self.roster.load_state_dict(under(ROSTER, state))
        for agent in self.members:
            agent.load_state_dict(under(agent.name, state))
        self._kept = None
