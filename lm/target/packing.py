"""Windows shorter than the context share sequences, so that no compute goes into padding."""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..proxies.attention import Documents
from ..proxies.head_loss import IGNORED

Ints = NDArray[np.int64]
Form = Literal["bounds", "mask", "lengths"]  # of `Documents`
# Positions of a sequence up to which attention on a CPU is faster with one mask than with a call for each document.
MASKED = 256


def pack(length_W: Ints, room: int) -> list[list[int]]:
    """Which of W windows go into which sequence of `room` tokens; each window is at most that long.

    Best fit, longest first: at most 11/9 of the fewest sequences possible, plus one (Johnson 1974). The result depends
    only on the lengths."""
    sequences: list[list[int]] = [[int(window)] for window in np.flatnonzero(length_W >= room)]
    left: list[tuple[int, int]] = []  # (tokens left, sequence), sorted
    short = np.flatnonzero(length_W < room)
    for window in short[np.argsort(-length_W[short], kind="stable")].tolist():
        need = int(length_W[window])
        place = bisect_left(left, (need, 0))
        if place == len(left):
            sequences.append([window])
            remaining, sequence = room - need, len(sequences) - 1
        else:
            remaining, sequence = left.pop(place)
            sequences[sequence].append(window)
            remaining -= need
        if remaining > 0:
            insort(left, (remaining, sequence))
    return sequences


@dataclass(frozen=True)
class PackedBatch:
    """Sequences for a causal LM, of windows one after another. All arrays are (sequences, positions): `inputs`;
    `positions`, which begin at 0 with every window; `targets`, IGNORED at padding. `lengths`: tokens of each sequence's
    windows, and of its padding, which fill it; `shared`: whether any sequence holds several windows."""

    inputs: Ints
    positions: Ints
    targets: Ints
    lengths: list[list[int]]
    shared: bool


def lay_out(tokens_WL: Ints, sequences: list[list[int]]) -> PackedBatch:
    """The windows `tokens_WL`, padded at the right with IGNORED, laid into `sequences` as `pack` gives them. Of each
    window the last token is a target only. An empty sequence is padding."""
    size = tokens_WL.shape[1] - 1
    length_W = (tokens_WL[:, 1:] != IGNORED).sum(1)
    inputs, positions = np.zeros((2, len(sequences), size), np.int64)
    targets = np.full((len(sequences), size), IGNORED)
    lengths = []
    for sequence, windows in enumerate(sequences):
        at = 0
        for window in windows:
            count = int(length_W[window])
            span = slice(at, at + count)
            inputs[sequence, span], targets[sequence, span] = (
                tokens_WL[window, :count],
                tokens_WL[window, 1 : count + 1],
            )
            positions[sequence, span] = np.arange(count)
            at += count
        after = positions[sequence, at - 1] + 1 if at else 0  # padding must not look like another window
        positions[sequence, at:] = after + np.arange(size - at)
        lengths.append([count for count in (*length_W[windows].tolist(), size - at) if count])
    return PackedBatch(inputs, positions, targets, lengths, any(len(windows) > 1 for windows in sequences))


def forms(device: torch.device, products: torch.dtype) -> tuple[Form, ...]:
    """The forms of documents that attention may take there, the fastest first. On a GPU none has a mask; the kernel of
    the first has no float32, nor heads of all sizes."""
    if device.type != "cuda":
        return ("mask",)
    return ("lengths",) if products == torch.float32 else ("bounds", "lengths")


def documents(lengths: list[list[int]], form: Form, to_device: Callable[[NDArray[Any]], Tensor]) -> Documents:
    """Where documents lie in the sequences of a pass, from their lengths in each, which add up to the same."""
    each, size = [length for sequence in lengths for length in sequence], sum(lengths[0])
    if form == "bounds":
        # Padded to a power of two, so that passes have few shapes; the bound of the longest does not change either.
        places = 1 << (len(each) - 1).bit_length()
        ends = np.pad(np.cumsum(each), (1, places - len(each)), mode="constant", constant_values=(0, sum(each)))
        return Documents(bounds=to_device(ends.astype(np.int32)), longest=size)
    if form == "lengths" or size > MASKED:
        return Documents(lengths=tuple(each))
    document = np.repeat(np.arange(len(each)), each).reshape(len(lengths), 1, size)
    mask = (document[..., None] == document[..., None, :]) & np.tri(size, dtype=bool)
    return Documents(mask=to_device(mask))
