"""ConsoleDataset: training data for any PyTorch loop, mixed by a console whose weights may change at any time."""

import warnings
from typing import Any

import numpy as np
import torch
from torch.utils.data import get_worker_info

from ...lm.io.errors import InputError
from ...lm.keyed_random import hash64
from ..cells.sampler import CellSampler
from ..console.agent_scores import AgentScores
from ..console.console import Array, Console
from ..console.weights import check_weights
from ..random_streams import DRAW, stream_keys
from ..scenarios.corpus_change import CorpusChange
from ..scenarios.task import Task
from ..scenarios.used_text import UsedText
from .batch_plan import BatchPlan
from .weight_log import WeightLog
from .window_dataset import Ids, State, WindowDataset

TIMES, IN_HAND = "times", "in_hand"  # keys of a state that was carried over to another corpus
SLOT = np.zeros(1, np.intp)  # the only one
NONE_IN_HAND = -1, np.zeros(0, np.int64)


class ConsoleDataset(WindowDataset):
    """Windows of a corpus. They are drawn block by block, as the console mixes the scores of the task's static agents
    under `weights` (K,), in the order of `task.agent_names`. An `Episode` with the same seed, pool, clock and weights
    draws the same windows. pool_tokens: the size of the text to draw from, composed as the corpus is (None: all of it);
    with_ids: whether items also have their `window_id`.

    Each process that reads draws for itself: 8 bytes a cell and, once the corpus has changed under the run, about 8 a
    window of it; a microsecond or less a window of the global batch.

    A run goes on after its corpus was built anew with more documents, or others: see `load_state_dict`."""

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
        self.task = task
        self.seed, self.pool_tokens, self.console = seed, pool_tokens, console or Console()
        self.sampler = CellSampler(task.cells, 1)
        self._reset_sampler()
        agents = AgentScores(task, self.sampler)
        self.agents, self.agent_names, self.scores_NKC = task.agents, task.agent_names, agents.scores
        self._mask_NK, self._moves_K = agents.roster.mask_NK, agents.roster.moves_K
        self._log = WeightLog(self._checked(weights))
        # The block that a pass begins with, and what was used of each cell before it, (C,).
        self._origin = 0, self.sampler.used_NC[0].copy()
        # A block that was drawn before the corpus changed (-1: none) and its windows, which count as used before it.
        self._in_hand: tuple[int, Ids] = NONE_IN_HAND
        self._next = 0  # the block that is drawn next
        self._drawn: Ids = np.zeros(0, np.int64)  # the windows of the block before it
        self._used_before = self._origin[1]  # what was used of each cell before they were drawn, (C,)

    def _reset_sampler(self) -> None:
        cells = self.task.cells
        self.sampler.reset(0, self.seed, self.pool_tokens or float(cells.tokens_C.sum()), cells.natural_C)

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
        self._next, self._used_before = block + 1, sampler.used_NC[0].copy()
        if block == self._in_hand[0]:
            self._drawn = self._in_hand[1]
            return
        share_NC = sampler.natural_NC
        if block or not plan.warmup_steps:
            budget = plan.steps_per_block * plan.batch_windows * self.windows.context
            share_NC = self.console.shares(
                weights_K[None], self.scores_NKC, sampler.natural_NC, sampler.pool_tokens_NC, sampler.epochs_NC, budget
            )
        key_N = stream_keys(np.array([self.seed]), DRAW, np.array([block]))
        self._drawn = sampler.draw(SLOT, share_NC, plan.windows_in(block), key_N)[0]

    def _begin_pass(self, anew: bool) -> None:
        if anew:
            self._reset_sampler()
            self._origin, self._in_hand = (0, self.sampler.used_NC[0].copy()), NONE_IN_HAND
        self._next, self.sampler.used_NC[0] = self._origin

    # -- state ----------------------------------------------------------------------------------------------------

    def state_at(self, step: int) -> State:
        """As `WindowDataset.state_at`. Where the text is the whole corpus, it also tells by document what was used, so
        that the run can go on after the corpus was built anew. That takes 20 bytes a document and one a window, and the
        first call reads the corpus's text, about a gigabyte a second."""
        state = super().state_at(step)
        if self.pool_tokens is not None:
            return state
        block, used_C, in_hand = state["block"], state["used"].numpy(), NONE_IN_HAND[1]
        if step > self.plan.first_step(block) or block == self._in_hand[0]:  # all of it counts as used
            in_hand, used_C = self._ids(block), self.sampler.used_NC[0]
        text = UsedText.of(self.task, self.sampler.times(0, used_C)).state_dict() | {IN_HAND: in_hand}
        return state | {"text": {name: torch.tensor(array) for name, array in text.items()}}

    def load_state_dict(self, state: State, drop_removed: bool = False) -> None:
        """As `WindowDataset.load_state_dict`. A state of `state_at` also fits a dataset whose corpus was built anew
        with other documents, in the same tokens, with the same label columns and reference tasks. Documents are known
        by their text. What was used stays used and what is new is unused; those windows of a cell that were used least
        come first. A block that was begun ends as it was drawn. From the next one on the console mixes the new corpus,
        whose windows come in an order of their own: to the bit it is neither what the old corpus would have given nor
        what a run on the new one would have. A warning tells the numbers. InputError: training documents are gone,
        unless `drop_removed`; and as CorpusChange."""
        if "text" not in state or state.get("of", {}).get("corpus") == self.windows.corpus.fingerprint:
            super().load_state_dict(state)
            return
        of = state["of"] | {"corpus": self.windows.corpus.fingerprint}
        self._check_identity(of)
        text = {name: tensor.numpy() for name, tensor in state["text"].items()}
        change = CorpusChange(UsedText.of_state(text), self.task, drop_removed)
        super().load_state_dict(state | {"of": of} | self._carried_over(change, text[IN_HAND], state["block"]))
        warnings.warn(change.told, stacklevel=2)

    def _carried_over(self, change: CorpusChange, in_hand: Ids, block: int) -> State:
        """What a state on this corpus says of the text, `in_hand` the windows of its block as the corpus before had
        them. This dataset stays as it is, for the state may still be refused."""
        sampler = CellSampler(self.task.cells, 1)
        sampler.carry_on(0, self.seed, change.times_W)
        in_hand = change.ids(in_hand)
        if gone := int((in_hand < 0).sum()):
            key_N = hash64(stream_keys(np.array([self.seed]), DRAW, np.array([block])))
            in_hand[in_hand < 0] = sampler.draw(SLOT, sampler.natural_NC, gone, key_N)[0]
        used_C = sampler.used_NC[0]
        return {TIMES: torch.tensor(change.times_W), IN_HAND: torch.tensor(in_hand), "used": torch.tensor(used_C)}

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
        state = {"block": block, "used": torch.tensor(used_C), "changes": self._log.changes()}
        if (times_W := self.sampler.carried(0)) is None:
            return state
        in_hand = self._in_hand[1] if block == self._in_hand[0] else NONE_IN_HAND[1]
        return state | {TIMES: torch.tensor(times_W), IN_HAND: torch.tensor(in_hand)}

    def _load_source(self, state: State, used_block: int) -> None:
        self._log.load(state["changes"], used_block, anew=get_worker_info() is None)
        self._reset_sampler()
        self._in_hand = NONE_IN_HAND
        if TIMES in state:
            self.sampler.carry_on(0, self.seed, state[TIMES].numpy())
            self._in_hand = (state["block"], state[IN_HAND].numpy()) if len(state[IN_HAND]) else NONE_IN_HAND
        self._origin = state["block"], state["used"].numpy().copy()
        self._begin_pass(anew=False)
