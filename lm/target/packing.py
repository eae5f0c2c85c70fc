"""Windows shorter than the context share sequences, so that no compute goes into padding."""

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..proxies.head_loss import IGNORED

Ints = NDArray[np.int64]


def pack(length_B: Ints, room: int) -> list[list[int]]:
    """Which of B windows go into which sequence of `room` tokens; each window is at most that long.

    Best fit, longest first: at most 11/9 of the fewest sequences possible, plus one (Johnson 1974). The result depends
    on the lengths alone."""
    rows: list[list[int]] = [[int(window)] for window in np.flatnonzero(length_B >= room)]
    left: list[tuple[int, int]] = []  # (tokens left, row), sorted
    short = np.flatnonzero(length_B < room)
    for window in short[np.argsort(-length_B[short], kind="stable")].tolist():
        need = int(length_B[window])
        place = bisect_left(left, (need, 0))
        if place == len(left):
            rows.append([window])
            remaining, row = room - need, len(rows) - 1
        else:
            remaining, row = left.pop(place)
            rows[row].append(window)
            remaining -= need
        if remaining > 0:
            insort(left, (remaining, row))
    return rows


@dataclass(frozen=True)
class Rows:
    """Sequences of S tokens for a causal LM, of windows one after another: `inputs` (R, S), `positions` (R, S) that
    begin at 0 with every window, `targets` (R, S), IGNORED at padding; `shared`: whether any holds several windows."""

    inputs: Ints
    positions: Ints
    targets: Ints
    shared: bool


def lay_out(tokens_BT: Ints, rows: list[list[int]]) -> Rows:
    """The sequences of windows (B, T), which are padded at the right with IGNORED; rows as `pack` gives them, of
    windows less their last token, which has nothing to predict. An empty row is padding."""
    size = tokens_BT.shape[1] - 1
    length_B = (tokens_BT[:, 1:] != IGNORED).sum(1)
    inputs, positions = np.zeros((2, len(rows), size), np.int64)
    targets = np.full((len(rows), size), IGNORED)
    for row, windows in enumerate(rows):
        at = 0
        for window in windows:
            count = int(length_B[window])
            span = slice(at, at + count)
            inputs[row, span], targets[row, span] = tokens_BT[window, :count], tokens_BT[window, 1 : count + 1]
            positions[row, span] = np.arange(count)
            at += count
        after = positions[row, at - 1] + 1 if at else 0  # padding opens no sequence of its own
        positions[row, at:] = after + np.arange(size - at)
    return Rows(inputs, positions, targets, any(len(windows) > 1 for windows in rows))
