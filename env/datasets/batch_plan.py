"""How one sequence of windows is cut into optimiser steps, blocks, the shares of ranks and a DataLoader's batches."""

from dataclasses import dataclass

from ...lm.io.errors import InputError


@dataclass(frozen=True)
class BatchPlan:
    """How one global sequence of windows is cut. All ranks have the same plan, except for `rank`. The sequence depends
    on `batch_windows` and the blocks alone, not on the ranks, batches and workers that read it."""

    batch_windows: int
    """windows of one optimiser step, over all ranks and accumulated batches"""
    steps_per_block: int
    """optimiser steps whose windows are drawn together, under one vector of weights: an episode's interval"""
    warmup_steps: int = 0
    """optimiser steps of block 0, which is then drawn without selection, as in an episode; 0: block 0 is like the
    others"""
    num_blocks: int | None = None
    """blocks of the sequence, the warm-up included; None: it has no end"""
    loader_batch: int | None = None
    """windows that the DataLoader takes from a worker at a time: its `batch_size`, times the processes where Accelerate
    does not dispatch batches; None: the rank's windows of a step, for training without accumulation of gradients"""
    rank: int = 0
    """of this process, where each process reads its own share; 0 where Accelerate or a Trainer hands the batches out"""
    world_size: int = 1
    """number of such processes; 1 where Accelerate or a Trainer hands the batches out"""

    def __post_init__(self) -> None:
        for name in ("batch_windows", "steps_per_block", "num_blocks", "loader_batch", "world_size"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}, expected at least 1")
        if self.warmup_steps < 0:
            raise InputError(f"warmup_steps is {self.warmup_steps}, expected 0 for none or a number of steps")
        if not 0 <= self.rank < self.world_size:
            raise InputError(f"rank {self.rank} of {self.world_size} given, expected 0 to {self.world_size - 1}")
        if self.batch_windows % (self.world_size * (self.loader_batch or 1)):
            raise InputError(
                f"a step's {self.batch_windows} windows do not divide over {self.world_size} ranks in batches of "
                f"{self.loader_batch or 'one size'}: give world_size * loader_batch * accumulated batches"
            )

    @property
    def rank_windows(self) -> int:
        """Windows of one step on this rank."""
        return self.batch_windows // self.world_size

    @property
    def batch(self) -> int:
        """Windows of one batch of the DataLoader."""
        return self.loader_batch or self.rank_windows

    @property
    def num_steps(self) -> int | None:
        """Optimiser steps until the sequence ends."""
        return None if self.num_blocks is None else self.first_step(self.num_blocks)

    def first_step(self, block: int) -> int:
        """The first optimiser step of a block, both counted from 0."""
        first_block = self.warmup_steps or self.steps_per_block
        return 0 if block == 0 else first_block + (block - 1) * self.steps_per_block

    def block_at(self, step: int) -> int:
        """The block of an optimiser step, both counted from 0."""
        first_block = self.warmup_steps or self.steps_per_block
        return 0 if step < first_block else 1 + (step - first_block) // self.steps_per_block

    def windows_in(self, block: int) -> int:
        """Windows of a block, over all ranks."""
        return (self.first_step(block + 1) - self.first_step(block)) * self.batch_windows

    def locate(self, index: int) -> tuple[int, int]:
        """The block of this rank's window `index`, counted over all steps from 0, and its place in the block."""
        step, inside = divmod(index, self.rank_windows)
        block = self.block_at(step)
        before = (step - self.first_step(block)) * self.batch_windows
        return block, before + self.rank * self.rank_windows + inside
