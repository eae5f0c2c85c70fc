"""A stateful iterable dataset over a corpus: the windows of one global sequence, for any number of readers.

Subclasses say where the windows of a block come from: `ConsoleDataset` draws them, `PostedDataset` waits for them.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from ...lm.corpus.windows import PADDING, Windows
from ...lm.io.errors import InputError
from .batch_plan import BatchPlan

Ids = NDArray[np.int64]
State = dict[str, Any]


class WindowDataset(IterableDataset[dict[str, Tensor]], ABC):
    """Items of one sequence of windows. An item is a dict of `input_ids` (context,) int64, 0 where padded; `labels`,
    the same but -100 where padded; `attention_mask`, 1, or 0 where padded; and, `with_ids`, `window_id`.

    The DataLoader makes batches of `plan.batch` windows. Step s of the sequence is the union of all ranks' batches of
    step s, the same for any numbers of ranks and workers. Each process goes through the blocks for itself and fetches
    the tokens of its own share.

    To resume, save `state_at(steps done)` and load it before iterating over the loader. This is exact with any
    DataLoader, with other numbers of workers and ranks, and in a Trainer (`ignore_data_skip=True`). torchdata's
    StatefulDataLoader works too. What it saves is as old as the batches that it has prefetched, so save and load the
    dataset's own state beside it, or changes that were made meanwhile are lost.

    A pass begins at the state that was loaded since the last pass in its process, or else at the beginning: train over
    one pass, not in epochs."""

    def __init__(self, windows: Windows, plan: BatchPlan, with_ids: bool = False) -> None:
        super().__init__()
        self.windows, self.plan, self.with_ids = windows, plan, with_ids
        self._begun = 0  # which of the rank's windows this pass began with
        self._yielded = 0  # windows that this process has given since then
        self._reader = 0, 1  # which worker process of how many gave them; without workers the only one
        self._fresh = True  # no pass has begun since the state was loaded or the dataset made

    def __len__(self) -> int:
        """Windows of this rank. TypeError: the sequence has no end."""
        if self.plan.num_steps is None:
            raise TypeError("the sequence has no end: give the Trainer max_steps, or the plan num_blocks")
        return self.plan.num_steps * self.plan.rank_windows

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        info = get_worker_info()
        reader = (0, 1) if info is None else (info.id, info.num_workers)
        if not self._fresh:
            self._begun = self._yielded = 0
        elif self._yielded and reader != self._reader:
            raise InputError(
                f"the state is that of reader {self._reader[0]} of {self._reader[1]}, between two steps' ends, and is "
                f"read by {reader[0]} of {reader[1]}: use as many workers as before, or save `state_at(steps done)`"
            )
        self._begin_pass(anew=not self._fresh)
        self._fresh, self._reader = False, reader
        return self._items()

    def _items(self) -> Iterator[dict[str, Tensor]]:
        size, num_steps = self.plan.batch, self.plan.num_steps
        while True:
            index = self._index(self._yielded, self._begun, self._reader)
            if num_steps is not None and index >= num_steps * self.plan.rank_windows:
                return
            block, place = self.plan.locate(index)
            for item in self._fetch(self._ids(block)[place : place + size - self._yielded % size]):
                self._yielded += 1
                yield item

    def _index(self, number: int, begun: int, reader: tuple[int, int]) -> int:
        """Which of the rank's windows is number `number`, from 0, of those that `reader` gives in a pass that began
        with the rank's window `begun`. A DataLoader takes whole batches from its workers in turn."""
        worker, num_workers = reader
        turn, inside = divmod(number, self.plan.batch)
        return begun + (turn * num_workers + worker) * self.plan.batch + inside

    def _fetch(self, ids: Ids) -> Iterator[dict[str, Tensor]]:
        labels = torch.from_numpy(self.windows.fetch(ids))
        inside = labels != PADDING
        columns = {"input_ids": labels.where(inside, 0), "labels": labels, "attention_mask": inside.long()}
        if self.with_ids:
            columns["window_id"] = torch.from_numpy(ids.copy())
        for index in range(len(ids)):
            yield {name: column[index] for name, column in columns.items()}

    # -- state ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """What the coming items of this process depend on, as plain values and tensors."""
        worker, num_workers = self._reader
        place = {"begun": self._begun, "yielded": self._yielded, "worker": worker, "num_workers": num_workers}
        return self._state(place) | self._source_state()

    def state_at(self, step: int) -> State:
        """The state after `step` optimiser steps, the same on all ranks, whichever processes read. Call it in the
        process that iterates over the DataLoader. InputError: the step is too early to go back to."""
        place = {"begun": step * self.plan.rank_windows, "yielded": 0, "worker": 0, "num_workers": 1}
        return self._state(place) | self._source_state_at(self.plan.block_at(step))

    def _state(self, place: State) -> State:
        plan = self.plan
        share = {"rank": plan.rank, "world_size": plan.world_size, "loader_batch": plan.batch}
        return {"of": self._identity(), **place, **share}

    def load_state_dict(self, state: State) -> None:
        """Let the next pass begin where `state` was taken; what came later is forgotten. InputError, and nothing is
        changed: it is of another sequence, or was taken within a step by a reader of another share of it."""
        self._check_identity(state.get("of", {}))
        plan = self.plan
        begun, yielded, reader = state["begun"], state["yielded"], (state["worker"], state["num_workers"])
        if reader == (0, 1):
            begun, yielded = begun + yielded, 0
        if (plan.rank, plan.world_size) != (state["rank"], state["world_size"]) or plan.batch != state["loader_batch"]:
            step, inside = divmod(begun, plan.batch_windows // state["world_size"])
            if inside or yielded:
                raise InputError(
                    f"the state is of rank {state['rank']} of {state['world_size']} with batches of "
                    f"{state['loader_batch']}, expected rank {plan.rank} of {plan.world_size} with batches of "
                    f"{plan.batch}: only a state between two steps fits others, `state_at(steps done)`"
                )
            begun = step * plan.rank_windows
        if reader == (0, 1):
            begun, yielded = begun - begun % plan.batch, begun % plan.batch
        last = self._index(yielded - 1, begun, reader) if yielded else begun - 1
        self._load_source(state, -1 if last < 0 else plan.locate(last)[0])  # first, since it may refuse the state
        self._begun, self._yielded, self._reader, self._fresh = begun, yielded, reader, True

    def _check_identity(self, of: State) -> None:
        """InputError: a state `of` these values does not fit."""
        differing = [
            f"{name} is {value}, {of.get(name)} in the state"
            for name, value in self._identity().items()
            if of.get(name) != value
        ]
        if differing:
            raise InputError(f"the state is of another dataset: {'; '.join(differing)}. Make the dataset as it was")

    def _identity(self) -> dict[str, Any]:
        """By name, the values that the sequence depends on: a state of other values does not fit."""
        plan = self.plan
        return {
            "dataset": type(self).__name__,
            "corpus": self.windows.corpus.fingerprint,
            "context": self.windows.context,
            "batch_windows": plan.batch_windows,
            "steps_per_block": plan.steps_per_block,
            "warmup_steps": plan.warmup_steps,
        }

    @abstractmethod
    def _ids(self, block: int) -> Ids:
        """The window ids of a block, (plan.windows_in(block),). Blocks are asked for in rising order; some are left
        out."""

    @abstractmethod
    def _begin_pass(self, anew: bool) -> None:
        """Go back to the state that was loaded or, `anew`, to before block 0."""

    @abstractmethod
    def _source_state(self) -> State:
        """What the windows of the block last asked for, and of all later ones, depend on."""

    @abstractmethod
    def _source_state_at(self, block: int) -> State:
        """The same for `block` and all later ones."""

    @abstractmethod
    def _load_source(self, state: State, used_block: int) -> None:
        """Restore what `_source_state` or `_source_state_at` gave. used_block: the last of which windows were given,
        -1: none."""
