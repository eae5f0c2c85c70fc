"""The clock of an episode and the size of its measurements."""

from dataclasses import dataclass, field

from ..lm.errors import InputError
from ..lm.learner import Schedule
from .action import ActionMap
from .console import Console


@dataclass(frozen=True)
class EpisodeConfig:
    """The clock of an episode and the size of its measurements, in windows unless said otherwise.

    An episode trains `warmup_steps` under natural (3% of the budget by the design), then `num_intervals` intervals of
    `steps_per_interval` optimiser steps of `batch_windows` each. A probe measures `probe_windows` against
    `reference_windows`; the validation loss is taken on `validation_windows`, the last one on `final_windows`."""

    num_intervals: int = 6
    steps_per_interval: int = 52
    batch_windows: int = 16
    warmup_steps: int = 10
    probe_windows: int = 128
    reference_windows: int = 64
    validation_windows: int = 96
    final_windows: int = 512
    console: Console = field(default_factory=Console)
    action_map: ActionMap = field(default_factory=ActionMap)

    def __post_init__(self) -> None:
        if min(self.num_intervals, self.steps_per_interval, self.batch_windows) < 1:
            raise InputError(
                f"the budget is smaller than one interval: {self.num_intervals} intervals of {self.steps_per_interval} "
                f"steps of {self.batch_windows} windows; give at least one of each"
            )

    @property
    def total_steps(self) -> int:
        return self.warmup_steps + self.num_intervals * self.steps_per_interval

    def schedule(self, lr_warmup_steps: int = 20) -> Schedule:
        return Schedule(self.total_steps, lr_warmup_steps)
