"""PostedDataset: training data whose windows the caller chooses, block by block, as training goes on."""

import time
from multiprocessing import parent_process

import numpy as np
import torch
from torch.multiprocessing import get_context
from torch.utils.data import get_worker_info

from ...lm.corpus.windows import Windows
from ...lm.io.errors import InputError
from .batch_plan import BatchPlan
from .window_dataset import Ids, State, WindowDataset

POLL_S = 0.002  # seconds between two looks for a posted block


class PostedDataset(WindowDataset):
    """The windows that `post` is given, such as those that an `Episode` draws under a policy. Worker processes wait for
    a block at most `patience_s` seconds, so that they cannot prefetch a block before it is posted. Without workers a
    block must be posted before its first batch is asked for.

    Post a block when all batches of the block before it have been taken. A loader that `Accelerator.prepare` made asks
    for one batch more than it gives: use a plain DataLoader here."""

    def __init__(self, windows: Windows, plan: BatchPlan, patience_s: float = 3600.0, with_ids: bool = False) -> None:
        super().__init__(windows, plan, with_ids)
        self.patience_s = patience_s
        room = max(plan.windows_in(0), plan.windows_in(1))
        self._shared_ids = torch.zeros(room, dtype=torch.int64).share_memory_()
        self._shared_block = torch.tensor(-1).share_memory_()
        self._lock = get_context("spawn").Lock()  # forked processes can use it as well
        self._read: tuple[int, Ids] | None = None  # the block that this process read last

    def post(self, block: int, ids: Ids) -> None:
        """Give the window ids of a block, (plan.windows_in(block),), in the order of training: those of a step are
        consecutive. Every rank is given the same. InputError: it is not the next block, or the ids are of another
        number or not of this corpus."""
        ids = np.asarray(ids, np.int64)
        expected = int(self._shared_block) + 1
        if block != expected or (self.plan.num_blocks is not None and block >= self.plan.num_blocks):
            raise InputError(
                f"block {block} posted after {expected} blocks of {self.plan.num_blocks or 'any number'}, expected "
                f"block {expected}: post one by one, none beyond the end"
            )
        if ids.shape != (self.plan.windows_in(block),):
            raise InputError(
                f"windows of shape {ids.shape} posted for block {block}, expected ({self.plan.windows_in(block)},): "
                "batch_windows for each of its steps"
            )
        self.windows.fetch(ids[:: max(1, len(ids) // 64)])  # refuses ids of another corpus here, not in a worker
        self._share(block, ids)

    def _share(self, block: int, ids: Ids) -> None:
        with self._lock:
            self._shared_ids[: len(ids)] = torch.from_numpy(ids)
            self._shared_block.fill_(block)

    def _shared(self) -> tuple[int, Ids]:
        with self._lock:
            block = int(self._shared_block)
            return block, self._shared_ids[: self.plan.windows_in(block) if block >= 0 else 0].numpy().copy()

    def _ids(self, block: int) -> Ids:
        if self._read is None or self._read[0] != block:
            self._read = self._wait_for(block)
        return self._read[1]

    def _wait_for(self, block: int) -> tuple[int, Ids]:
        patience = 0.0 if get_worker_info() is None else self.patience_s
        parent, begun = parent_process(), time.monotonic()
        while int(self._shared_block) < block:
            if time.monotonic() - begun >= patience or (parent is not None and not parent.is_alive()):
                raise InputError(
                    f"the windows of block {block} were not posted within {patience:g} s: `post` them before its first "
                    "batch is asked for, which a loader that Accelerator.prepare made does one batch early"
                )
            time.sleep(POLL_S)
        shared = self._shared()
        if shared[0] != block:
            raise InputError(
                f"block {shared[0]} was posted before block {block} was read, expected all its batches to be taken "
                "first: train on them, then post the next"
            )
        return shared

    def _begin_pass(self, anew: bool) -> None:
        """Nothing to do: a block that is over is no longer there, and `_wait_for` says so."""

    # -- state ----------------------------------------------------------------------------------------------------

    def _source_state(self) -> State:
        block, ids = self._shared()
        return {"block": block, "posted": torch.from_numpy(ids)}

    def _source_state_at(self, block: int) -> State:
        state = self._source_state()
        if not 0 <= block - state["block"] <= 1:
            raise InputError(
                f"state asked for in block {block}, expected {state['block']} or {state['block'] + 1}: ask where "
                "training is"
            )
        return state

    def _load_source(self, state: State, used_block: int) -> None:
        # Each worker loads a state: the latest of these holds.
        if get_worker_info() is None or state["block"] > int(self._shared_block):
            self._share(state["block"], state["posted"].numpy())
        self._read = None
