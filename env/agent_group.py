"""The agents of an episode, and the standardised scores that they give in N runs."""

import numpy as np
from numpy.typing import NDArray

from ..lm.errors import InputError
from ..lm.state import state_under
from .agents.base import Feedback
from .console import Standardiser
from .task import Task

Array = NDArray[np.float64]


class AgentGroup:
    """The agents of `task`, at work in `num_slots` runs. Scores of the cells are kept until agents learn or forget:
    they do not depend on the weights, and there may be hundreds of thousands of cells."""

    def __init__(self, task: Task, num_slots: int) -> None:
        self.task, self.members = task, task.make_agents()
        for agent in self.members:
            agent.start(num_slots, task.layout)
        self._kept: tuple[Array, Standardiser] | None = None

    @property
    def scores(self) -> Array:
        """Standardised scores of the cells, (N, K, C)."""
        return self._standardised()[0]

    def lift(self) -> Array:
        """Mean standardised score of each reference task's validation documents, (N, K, T); 0 for agents that cannot
        tell of text that is new to them."""
        labels_RA, known_KR = self.task.reference_labels, self.task.reference_known
        score_NKR = np.stack([agent.score(labels_RA) for agent in self.members], 1)
        return (self._standardised()[1](score_NKR) * known_KR) @ self.task.reference_share.T

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

    def _standardised(self) -> tuple[Array, Standardiser]:
        if self._kept is None:
            cells = self.task.cells
            score_NKC = np.stack([agent.score_cells(cells.labels_CA) for agent in self.members], 1)
            if not np.isfinite(score_NKC).all():
                worst = self.members[int(np.argmin(np.isfinite(score_NKC).all((0, 2))))].name
                raise InputError(
                    f"agent '{worst}' gave NaN or infinite priorities, expected finite ones: run "
                    "pretraingym.env.check_agent on it"
                )
            standardiser = Standardiser.of(score_NKC, cells.natural_C)
            self._kept = standardiser(score_NKC), standardiser
        return self._kept

    def state_dict(self) -> dict[str, NDArray]:
        """The members' states under their names."""
        return {f"{agent.name}/{key}": value for agent in self.members for key, value in agent.state_dict().items()}

    def load_state_dict(self, state: dict[str, NDArray]) -> None:
        """Restore what `state_dict` gave."""
        for agent in self.members:
            agent.load_state_dict(state_under(f"{agent.name}/", state))
        self._kept = None
