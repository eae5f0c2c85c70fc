"""Which weights hold from which block on: a log in memory that the worker processes of a DataLoader share."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing import get_context

from ...lm.io.errors import InputError

Array = NDArray[np.float64]
MAX_CHANGES = 16_384
CHANGES, DRAWN = 0, 1  # indices into the marks: the number of changes, and the last block that was drawn


class WeightLog:
    """Changes of the weights (K,), in the order in which they were made; each holds from its block on, and the last one
    made for a block holds. Several processes may draw and one may change. A lock makes sure that all of them draw a
    block under the same weights."""

    def __init__(self, weights_K: Array) -> None:
        # Each change is the number of a block, then the weights.
        self._changes = torch.zeros(MAX_CHANGES, 1 + len(weights_K), dtype=torch.float64).share_memory_()
        self._marks = torch.tensor([0, -1]).share_memory_()
        self._lock = get_context("spawn").Lock()  # forked processes can use it as well
        self.change(weights_K, None)

    def change(self, weights_K: Array, block: int | None) -> int:
        """Let weights hold from `block` on, by default from the first that no process has drawn -> that block.
        InputError: the block was drawn already, or there were too many changes."""
        with self._lock:
            changes, first = int(self._marks[CHANGES]), int(self._marks[DRAWN]) + 1
            block = first if block is None else block
            if block < first:
                raise InputError(
                    f"weights given from block {block} on, which is drawn; expected {first} or later: prefetched "
                    "batches count, so use fewer workers, a smaller prefetch_factor or shorter blocks to come sooner"
                )
            if changes == MAX_CHANGES:
                raise InputError(
                    f"the weights were changed {MAX_CHANGES} times, expected at most that: change them less often"
                )
            self._changes[changes] = torch.from_numpy(np.concatenate([[block], weights_K]))
            self._marks[CHANGES] += 1
            return block

    def at(self, block: int) -> Array:
        """The weights of a block, as far as they have been set."""
        with self._lock:
            return self._at(block)

    def fix_weights(self, block: int) -> Array:
        """The weights of a block, which is drawn now: no later change can alter them."""
        with self._lock:
            self._marks[DRAWN] = max(int(self._marks[DRAWN]), block)
            return self._at(block)

    def _at(self, block: int) -> Array:
        changes = self._changes[: int(self._marks[CHANGES])].numpy()
        begins = np.where(changes[:, 0] <= block, changes[:, 0], -1)
        return changes[len(changes) - 1 - int(np.argmax(begins[::-1])), 1:].copy()

    def changes(self) -> Tensor:
        """All changes, (changes, 1 + K): the block, then the weights."""
        with self._lock:
            return self._changes[: int(self._marks[CHANGES])].clone()

    def load(self, changes: Tensor, drawn: int, anew: bool) -> None:
        """Take over what `changes` gave; blocks up to `drawn` count as drawn. anew: in place of all that is here. Else
        these are two states of one run, as workers of a DataLoader may have, and the longer holds. InputError: they are
        not of one run."""
        with self._lock:
            here = int(self._marks[CHANGES])
            common = 1 if anew else min(here, len(changes))
            if changes.shape[1] != self._changes.shape[1] or not torch.equal(self._changes[:common], changes[:common]):
                raise InputError(
                    f"the weights here, {self._changes[:here].tolist()} (block, then weights), and those of the state, "
                    f"{changes.tolist()}, are not of one run: give the first weights as they were, load, then change"
                )
            if anew:
                here, self._marks[DRAWN] = 0, -1
            self._changes[here : len(changes)] = changes[here:]
            self._marks[CHANGES] = max(here, len(changes))
            self._marks[DRAWN] = max(int(self._marks[DRAWN]), drawn)
