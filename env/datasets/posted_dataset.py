"""PostedDataset: training data whose windows somebody else chooses, block by block, as training goes on."""

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

POLL_S = 0.002  # seconds between two looks


class PostedDataset(WindowDataset):
    """The windows that `post` gives, such as an `Episode` draws under a policy. Worker processes wait for those of a
    block, at most `patience_s` seconds, so that no prefetching runs ahead of it; in one process they must be there.

    A block may be posted when all batches of the one before were taken, and no batch of it can be asked for earlier. A
    loader that `Accelerator.prepare` made asks for one batch more than it gives: use a plain DataLoader here."""

    def __init__(self, windows: Windows, plan: BatchPlan, patience_s: float = 3600.0, with_ids: bool = False) -> None:
        super().__init__(windows, plan, with_ids)
        self.patience_s = patience_s
        room = max(plan.windows_in(0), plan.windows_in(1))
        self._shared_ids = torch.zeros(room, dtype=torch.int64).share_memory_()
        self._shared_block = torch.tensor(-1).share_memory_()
        self._lock = get_context("spawn").Lock()  # one that forked processes can use as well
        self._read: tuple[int, Ids] | None = None  # the block that this process read last

    def post(self, block: int, ids: Ids) -> None:
        """Give the windows (plan.windows_in(block),) of a block, in the order of training: those of a step are
        consecutive. On every rank the same. InputError: not the next block, another number, or no such windows."""
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
        self.windows.fetch(ids[:: max(1, len(ids) // 64)])  # ids of another corpus are told here and not in a worker
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
        """Nothing: a block of the past is no longer there, which `_wait_for` tells."""

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
        # Of several workers' states the latest holds.
        if get_worker_info() is None or state["block"] > int(self._shared_block):
            self._share(state["block"], state["posted"].numpy())
        self._read = None
