"""The clock of an episode and the size of its measurements."""

from dataclasses import dataclass, field

from ..lm.io.errors import InputError
from .console.action_map import ActionMap
from .console.console import Console


@dataclass(frozen=True)
class EpisodeConfig:
    """The clock of an episode, the size of its measurements, and the console."""

    num_intervals: int = 6
    """decisions of an episode"""
    steps_per_interval: int = 52
    """optimiser steps between two decisions"""
    batch_windows: int = 16
    """windows of one optimiser step"""
    warmup_steps: int = 10
    """optimiser steps under natural before the first decision (3% of the budget)"""
    probe_windows: int = 128
    """training windows whose influence is measured at each decision"""
    reference_windows: int = 64
    """validation windows whose gradient they are measured against"""
    validation_windows: int = 96
    """windows of the validation loss after an interval"""
    final_windows: int = 512
    """windows of the last validation loss"""
    console: Console = field(default_factory=Console)
    action_map: ActionMap = field(default_factory=ActionMap)

    def __post_init__(self) -> None:
        if min(self.num_intervals, self.steps_per_interval, self.batch_windows) < 1:
            raise InputError(
                f"the budget is smaller than one interval: {self.num_intervals} intervals of {self.steps_per_interval} "
                f"steps of {self.batch_windows} windows; give at least one of each"
            )
        for name in ("warmup_steps", "probe_windows", "reference_windows", "validation_windows", "final_windows"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, expected at least 1")

    @property
    def total_steps(self) -> int:
        return self.warmup_steps + self.num_intervals * self.steps_per_interval

    def budget_tokens(self, context: int) -> int:
        """Tokens of a whole run in windows of `context`, where all are full."""
        return self.total_steps * self.batch_windows * context
