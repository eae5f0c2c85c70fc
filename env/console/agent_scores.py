"""The standardised scores that an episode's agents give in N runs."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...lm.io.errors import InputError
from ...lm.io.state import nested, under
from ..agents.agent_answers import naming_agent_errors, scored
from ..agents.base import Feedback, Relabelling
from ..cells.sampler import CellSampler
from ..scenarios.roster import NoiseScales, Roster
from ..scenarios.steering_text import SteeringText
from ..scenarios.task import Task

Array = NDArray[np.float64]
PRIOR = 1.0  # documents that the corpus's spread counts as in that of a reference task (assumed)
ROSTER = "roster/"  # of its part of the state: no agent's name ends so


@dataclass(frozen=True)
class Standardiser:
    """Mean and spread (N, K) of agents' scores over the tokens of each run's pool."""

    mean_NK: Array
    spread_NK: Array

    @classmethod
    def of(cls, score_NKC: Array, natural_NC: Array) -> "Standardiser":
        """From the cells' scores and their shares of the pool's tokens."""
        mean = (score_NKC @ natural_NC[:, :, None])[..., 0]
        square = ((score_NKC - mean[..., None]) ** 2 @ natural_NC[:, :, None])[..., 0]
        return cls(mean, np.sqrt(square))

    def __call__(self, score: Array) -> Array:
        """Scores (N, K, M) of M cells or documents, in standard deviations from the pool's mean and within [-5, 5]; 0
        where an agent cannot tell (NaN) and of an agent that scores all text alike."""
        spread = self.spread_NK[..., None]
        centred = score - self.mean_NK[..., None]
        known = (spread > 1e-9) & ~np.isnan(centred)
        return np.clip(np.where(known, centred / np.maximum(spread, 1e-9), 0.0), -5, 5)


class AgentScores:
    """The agents of `task`, at work in all runs of `sampler`. Scores are standardised over the tokens of a run's pool.
    The cells' scores do not depend on the weights, and there may be hundreds of thousands of cells, so they are kept
    until agents learn or forget."""

    def __init__(self, task: Task, sampler: CellSampler) -> None:
        self.task, self.sampler, self.members = task, sampler, task.make_agents()
        num_slots = len(sampler.seed_N)
        self.roster = Roster(self.members, list(task.layout.columns), num_slots)
        for agent in self.members:
            with naming_agent_errors(agent, "start"):
                agent.start(num_slots, task.layout)
        self._kept: tuple[Array, Standardiser, NoiseScales] | None = None

    @property
    def scores(self) -> Array:
        """Standardised scores of the cells by the agents in their places, (N, K, C)."""
        return self._standardised()[0]

    def lift(self, steering: SteeringText) -> tuple[Array, Array]:
        """Mean standardised score of each reference task's validation documents that steer the runs, and its standard
        error, each (N, K, T); 0 of an agent that cannot score text outside the cells.

        The errors are those of means of independent documents (`_mean_and_error`)."""
        labels_DA, known_KD = self.task.reference_labels, self.task.reference_known
        score_NKD = self.roster.by_place(self._asked("score", labels_DA))
        _, standardiser, scales = self._standardised()
        z_NKD = standardiser(score_NKD)
        self.roster.apply_to(z_NKD, labels_DA, scales)
        z_NKD = z_NKD * known_KD[self.roster.agent_NK]
        mask_ND, stop_T = steering.mask(self.task.reference_documents), np.cumsum(self.task.reference_documents)
        found = [
            _mean_and_error(
                z_NKD[:, :, start:stop], self.task.reference_share[task, start:stop] * mask_ND[:, start:stop]
            )
            for task, (start, stop) in enumerate(pairwise([0, *stop_T.tolist()]))
        ]
        means, errors = zip(*found, strict=True)
        return np.stack(means, 2), np.stack(errors, 2)

    def reset(self, slots: NDArray[np.intp]) -> None:
        """Forget what was learned from the runs in `slots`."""
        for agent in self.members:
            agent.reset(slots)
        self._kept = None

    def update(self, feedback: Feedback) -> None:
        """Let all agents learn from one probe of all N runs."""
        for agent in self.members:
            with naming_agent_errors(agent, "update"):
                agent.update(feedback)
        self._kept = None

    def _asked(self, method: str, labels: NDArray[np.uint16]) -> Array:
        """What every agent gives of M cells or documents, (N, K, M), in the order of `members`."""
        num_runs = len(self.sampler.seed_N)
        return np.stack([scored(agent, method, labels, num_runs) for agent in self.members], 1)

    def _standardised(self) -> tuple[Array, Standardiser, NoiseScales]:
        """The cells' scores, what standardises them, and the scales of the noisy agents' scores."""
        if self._kept is None:
            labels_CA, natural_NC = self.task.cells.labels_CA, self.sampler.natural_NC
            score_NKC = self._asked("score_cells", labels_CA)
            if not np.isfinite(score_NKC).all():
                worst = self.members[int(np.argmin(np.isfinite(score_NKC).all((0, 2))))].name
                raise InputError(
                    f"agent '{worst}' gave NaN or infinite priorities, expected finite ones: run "
                    "pretraingym.env.check_agent on it"
                )
            placed_NKC = self.roster.by_place(score_NKC)
            standardiser = Standardiser.of(placed_NKC, natural_NC)
            z_NKC = standardiser(placed_NKC)
            scales = self.roster.noise_scales(z_NKC, labels_CA, natural_NC)
            self.roster.apply_to(z_NKC, labels_CA, scales)
            self._kept = z_NKC, standardiser, scales
        return self._kept

    def state_dict(self) -> dict[str, NDArray]:
        """The roster, and the members' states under their names."""
        state = nested(ROSTER, self.roster.state_dict())
        for agent in self.members:
            state |= nested(agent.name, agent.state_dict())
        return state

    def carried_over(self, state: dict[str, NDArray], labels: Relabelling) -> dict[str, NDArray]:
        """A state of before the corpus changed, for `load_state_dict` now."""
        carried = nested(ROSTER, under(ROSTER, state))
        for agent in self.members:
            carried |= nested(agent.name, agent.carried_over(under(agent.name, state), labels))
        return carried

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        self.roster.load_state_dict(under(ROSTER, state))
        for agent in self.members:
            agent.load_state_dict(under(agent.name, state))
        self._kept = None


def _mean_and_error(z_NKD: Array, weight_ND: Array) -> tuple[Array, Array]:
    """Weighted means over documents, and their standard errors, each (N, K): the spread between documents over the root
    of n, their effective number (Kish). The spread's square is a mean of n - 1 parts measured and PRIOR parts of 1, the
    corpus's own: a single document tells nothing of it, and a few that happen to be alike tell little."""
    share_ND = weight_ND / weight_ND.sum(1, keepdims=True)
    documents = 1 / (share_ND**2).sum(1, keepdims=True)
    mean_NK = np.einsum("nkd,nd->nk", z_NKD, share_ND)
    square_NK = np.maximum(np.einsum("nkd,nd->nk", z_NKD**2, share_ND) - mean_NK**2, 0)
    spread_NK = (documents * square_NK + PRIOR) / (documents - 1 + PRIOR)
    return mean_NK, np.sqrt(spread_NK / documents)
