"""A recorded episode beside its replay: how far their losses are apart, and what else differs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ...env.recording.episode_record import EpisodeRecord

MOST_ROWS = 20  # of the table
SHARE_TOLERANCE = 1e-6  # of the mixture and the weights, which come through the same formulas again


@dataclass(frozen=True)
class Comparison:
    """Of a record with its replay. difference_nats: the largest of any loss; faults: what differs, in words."""

    recorded: EpisodeRecord
    replayed: EpisodeRecord | None
    difference_nats: float
    faults: tuple[str, ...]


def compare(
    recorded: EpisodeRecord, replayed: EpisodeRecord | None, weights_IK: NDArray[np.float64], tolerance: float
) -> Comparison:
    """Losses to within `tolerance` nats, tokens exactly, shares to within rounding, and so the recorded weights with
    `weights_IK`, which the actions stand for."""
    apart = abs(recorded.weights_IK - weights_IK).max()
    faults = ["weights and actions"] if apart > SHARE_TOLERANCE else []
    if replayed is None or replayed.num_intervals != recorded.num_intervals:
        return Comparison(recorded, replayed, 0.0, (*faults, "where it diverged"))
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
    return Comparison(recorded, replayed, largest, tuple(faults))


def comparison_table(compared: list[Comparison]) -> Table:
    """The episodes that differ most, by their place in the file, at most MOST_ROWS."""
    order = sorted(enumerate(compared, 1), key=lambda each: (not each[1].faults, -each[1].difference_nats))
    title = f"{min(len(order), MOST_ROWS)} of {len(order)} episodes, the largest differences first"
    table = Table(*("episode", "run", "loss", "replayed", "difference, nats", "differs in"), title=title)
    for place, each in order[:MOST_ROWS]:
        table.add_row(str(place), *_row(each))
    return table


def _row(each: Comparison) -> Iterator[str]:
    recorded, replayed = each.recorded, each.replayed
    yield "control" if recorded.control else "policy"
    yield f"{recorded.loss[-1]:.4f}"
    yield "-" if replayed is None else f"{replayed.loss[-1]:.4f}"
    yield f"{each.difference_nats:.2g}"
    yield ", ".join(each.faults) or "nothing"
