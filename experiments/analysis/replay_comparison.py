"""How a replayed episode differs from its record: by how much its losses, and what else."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ...env.recording.episode_record import EpisodeRecord

MOST_ROWS = 20  # of the table
SHARE_TOLERANCE = 1e-6  # of the mixture and the weights, which come through the same formulas again


@dataclass(frozen=True)
class ReplayDifference:
    """How one replay differs from its record. replayed: None if it diverged earlier or later than the record; nats: the
    largest difference of any loss; faults: what differs, in words."""

    recorded: EpisodeRecord
    replayed: EpisodeRecord | None
    nats: float
    faults: tuple[str, ...]


def replay_difference(
    recorded: EpisodeRecord, replayed: EpisodeRecord | None, weights_IK: NDArray[np.float64], tolerance: float
) -> ReplayDifference:
    """Losses must agree to within `tolerance` nats, tokens exactly, and the mixture to within rounding; so must the
    recorded weights and `weights_IK`, which the recorded actions stand for."""
    apart = abs(recorded.weights_IK - weights_IK).max()
    faults = ["weights and actions"] if apart > SHARE_TOLERANCE else []
    if replayed is None or replayed.num_intervals != recorded.num_intervals:
        return ReplayDifference(recorded, replayed, 0.0, (*faults, "where it diverged"))
    largest = 0.0
    for name, words in (("loss", "loss"), ("by_task_IT", "loss by task"), ("train_loss_I", "training loss")):
        one, other = getattr(recorded, name), getattr(replayed, name)
        known = ~np.isnan(one) & ~np.isnan(other)
        difference = float(abs(one[known] - other[known]).max(initial=0.0))
        largest = max(largest, difference)
        if difference > tolerance or (np.isnan(one) != np.isnan(other)).any():
            faults.append(words)
    if (recorded.tokens != replayed.tokens).any():
        faults.append("tokens")
    if any((abs(shares - replayed.drawn[name]) > SHARE_TOLERANCE).any() for name, shares in recorded.drawn.items()):
        faults.append("mixture")
    if recorded.diverged != replayed.diverged:
        faults.append("whether it diverged")
    return ReplayDifference(recorded, replayed, largest, tuple(faults))


def difference_table(differences: list[ReplayDifference]) -> Table:
    """The episodes that differ most, by their place in the file, at most MOST_ROWS."""
    order = sorted(enumerate(differences, 1), key=lambda each: (not each[1].faults, -each[1].nats))
    title = f"{min(len(order), MOST_ROWS)} of {len(order)} episodes, the largest differences first"
    table = Table(*("episode", "run", "loss", "replayed", "difference, nats", "differs in"), title=title)
    for place, each in order[:MOST_ROWS]:
        table.add_row(str(place), *_cells(each))
    return table


def _cells(each: ReplayDifference) -> Iterator[str]:
    recorded, replayed = each.recorded, each.replayed
    yield "control" if recorded.control else "policy"
    yield f"{recorded.loss[-1]:.4f}"
    yield "-" if replayed is None else f"{replayed.loss[-1]:.4f}"
    yield f"{each.nats:.2g}"
    yield ", ".join(each.faults) or "nothing"
