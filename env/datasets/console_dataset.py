"""ConsoleDataset: training data for any PyTorch loop, mixed by a console whose weights may change at any time."""

from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ...lm.io.errors import InputError
from ..cells.sampler import CellSampler
from ..console.agent_scores import AgentScores
from ..console.console import Array, Console
from ..console.weights import check_weights
from ..random_streams import DRAW, stream_keys
from ..scenarios.task import Task
from .batch_plan import BatchPlan
from .weight_log import WeightLog
from .window_dataset import Ids, State, WindowDataset


class ConsoleDataset(WindowDataset):
    """Windows of a corpus. They are drawn block by block, as the console mixes the scores of the task's static agents
    under `weights` (K,), in the order of `task.agent_names`. An `Episode` with the same seed, pool, clock and weights
    draws the same windows. pool_tokens: the size of the text to draw from, composed as the corpus is (None: all of it);
    with_ids: whether items also have their `window_id`.

    Each process that reads draws for itself: 8 bytes a cell, a microsecond or less a window of the global batch."""

    def __init__(
        self,
        task: Task,
        weights: Array,
        plan: BatchPlan,
        seed: int = 0,
        pool_tokens: float | None = None,
        console: Console | None = None,
        with_ids: bool = False,
    ) -> None:
        super().__init__(task.windows, plan, with_ids)
        if pool_tokens is not None and not pool_tokens > 0:
            raise InputError(f"pool_tokens is {pool_tokens}, expected a number of tokens or None for all text")
        self.seed, self.pool_tokens, self.console = seed, pool_tokens, console or Console()
        self.sampler = CellSampler(task.cells, 1)
        self.sampler.reset(0, seed, pool_tokens or float(task.cells.tokens_C.sum()), task.cells.natural_C)
        agents = AgentScores(task, self.sampler)
        self.agents, self.agent_names, self.scores_NKC = task.agents, task.agent_names, agents.scores
        self._mask_NK, self._moves_K = agents.roster.mask_NK, agents.roster.moves_K
        self._log = WeightLog(self._checked(weights))
        # The block that a pass begins with, and what was used of each cell before it, (C,).
        self._origin = 0, self.sampler.used_NC[0].copy()
        self._next = 0  # the block that is drawn next
        self._drawn: Ids = np.zeros(0, np.int64)  # the windows of the block before it
        self._used_before = self._origin[1]  # what was used of each cell before they were drawn, (C,)

    def set_weights(self, weights: Array, from_block: int | None = None) -> int:
        """Let `weights` (K,) hold from a block on -> that block, counted from 0; `plan.first_step` tells its first
        step. The default is the first block that no worker process of this dataset has drawn. It depends on how far the
        workers happen to be, so give `from_block` in a run that must repeat exactly; where several processes have
        datasets of their own, give the same in all. Call this in the process that iterates over the DataLoader.

        InputError: weights that are off the simplex or favour an agent that is not static; a block that was drawn or
        does not exist; or no `from_block` where there are several ranks."""
        if from_block is None and self.plan.world_size > 1:
            raise InputError(
                "weights given to one rank of several without from_block, expected the same block in all: name one "
                "that none has drawn, a few blocks ahead"
            )
        if from_block is not None and not 0 <= from_block < (self.plan.num_blocks or np.inf):
            raise InputError(f"weights given from block {from_block} on, expected one of {self.plan.num_blocks} blocks")
        return self._log.change(self._checked(weights), from_block)

    def weights_at(self, block: int) -> Array:
        """The weights (K,) of a block, as far as they have been set."""
        return self._log.at(block)

    def _checked(self, weights: Array) -> Array:
        weights_K = check_weights(np.asarray(weights)[None], self._mask_NK)[0]
        if moved := [
            name for name, moves in zip(self.agent_names, (weights_K > 0) & self._moves_K, strict=True) if moves
        ]:
            raise InputError(
                f"weights favour {', '.join(moved)}, which feedback moves, and there is none here: give 0, or let an "
                "Episode choose the windows of a PostedDataset"
            )
        return weights_K

    def _ids(self, block: int) -> Ids:
        if block != self._next - 1:
            self._go_to(block)
            self._draw()
        return self._drawn

    def _go_to(self, block: int) -> None:
        """Draw or go back so that `block` is the next to be drawn."""
        if block < self._next:
            self._begin_pass(anew=False)
        while self._next < block:
            self._draw()

    def _draw(self) -> None:
        """Draw the next block, as an `Episode` does."""
        plan, sampler, block = self.plan, self.sampler, self._next
        weights_K = self._log.fix_weights(block)
        share_NC = sampler.natural_NC
        if block or not plan.warmup_steps:
            budget = plan.steps_per_block * plan.batch_windows * self.windows.context
            share_NC = self.console.shares(
                weights_K[None], self.scores_NKC, sampler.natural_NC, sampler.pool_tokens_NC, sampler.epochs_NC, budget
            )
        self._used_before = sampler.used_NC[0].copy()
        key_N = stream_keys(np.array([self.seed]), DRAW, np.array([block]))
        self._drawn = sampler.draw(np.zeros(1, np.intp), share_NC, plan.windows_in(block), key_N)[0]
        self._next += 1

    def _begin_pass(self, anew: bool) -> None:
        if anew:
            self._origin = 0, np.zeros_like(self._origin[1])
        self._next, self.sampler.used_NC[0] = self._origin

    # -- state ----------------------------------------------------------------------------------------------------

    def _identity(self) -> dict[str, Any]:
        own = {"agents": ", ".join(self.agents), "seed": self.seed, "pool_tokens": self.pool_tokens}
        return super()._identity() | own | {"console": repr(self.console)}

    def _source_state(self) -> State:
        return self._source_state_at(max(self._next - 1, self._origin[0]))

    def _source_state_at(self, block: int) -> State:
        if block < self._origin[0]:
            raise InputError(
                f"state asked for in block {block}, expected {self._origin[0]}, where this run began, or later"
            )
        if block != self._next - 1:
            self._go_to(block)
        used_C = self._used_before if block < self._next else self.sampler.used_NC[0]
        return {"block": block, "used": torch.tensor(used_C), "changes": self._log.changes()}

    def _load_source(self, state: State, used_block: int) -> None:
        self._log.load(state["changes"], used_block, anew=get_worker_info() is None)
        self._origin = state["block"], state["used"].numpy().copy()
        self._begin_pass(anew=False)
