"""Which weights hold from which block on: a record in memory that the worker processes of a DataLoader share."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.multiprocessing import get_context

from ...lm.io.errors import InputError

Array = NDArray[np.float64]
MAX_CHANGES = 16_384  # changes
CHANGES, DRAWN = 0, 1  # entries of the marks


class WeightLog:
    """Changes of the weights (K,) in the order they were made, each from a block on. Of two for one block the later
    holds. Several processes may draw and one may change: all under a lock, so that a block has one vector of weights.
    """

    def __init__(self, weights_K: Array) -> None:
        # Each change is the number of a block, then the weights.
        self._changes = torch.zeros(MAX_CHANGES, 1 + len(weights_K), dtype=torch.float64).share_memory_()
        self._marks = torch.tensor([0, -1]).share_memory_()  # how many changes; the last block that was drawn
        self._lock = get_context("spawn").Lock()  # one that forked processes can use as well
        self.change(weights_K, None)

    def change(self, weights_K: Array, block: int | None) -> int:
        """Let weights hold from `block` on, by default from the first that no process has drawn -> that block.
        InputError: the block was drawn already, or there is no room."""
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
        """The weights of a block, as known now."""
        with self._lock:
            return self._at(block)

    def draw(self, block: int) -> Array:
        """The weights of a block, which no change can alter from now on."""
        with self._lock:
            self._marks[DRAWN] = max(int(self._marks[DRAWN]), block)
            return self._at(block)

    def _at(self, block: int) -> Array:
        rows = self._changes[: int(self._marks[CHANGES])].numpy()
        begins = np.where(rows[:, 0] <= block, rows[:, 0], -1)
        return rows[len(rows) - 1 - int(np.argmax(begins[::-1])), 1:].copy()

    def changes(self) -> Tensor:
        """All changes, (L, 1 + K): block, then weights."""
        with self._lock:
            return self._changes[: int(self._marks[CHANGES])].clone()

    def load(self, changes: Tensor, drawn: int, anew: bool) -> None:
        """Take over what `changes` gave, blocks up to `drawn` being drawn. `anew`, in place of all that was here; else,
        of two states of one run, which the workers of a DataLoader may have, the longer holds. InputError: they are not
        of one run."""
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
