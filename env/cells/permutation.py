"""Random permutations of any length without storing them: a Feistel network with cycle walking."""

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words, hash64
from .blocks import blocks

ROUNDS = 4  # enough for sampling order (Luby-Rackoff); even, so that both halves end where they began
ODD = np.uint64(0xD1B54A32D192ED03)  # without a pattern
ROUND_KEYS = np.arange(1, ROUNDS + 1, dtype=np.uint64) * ODD


def permute(index: NDArray[np.int64], size: NDArray[np.int64], key: Words) -> NDArray[np.int64]:
    """Where the permutation of range(size) that `key` stands for sends `index`; all three (M,), 0 <= index < size.

    An index is a place in a rectangle of about sqrt(size) x sqrt(size), which has fewer than a row of places too many.
    So only one index in sqrt(size) leaves the range, and is sent on along its cycle until it is inside (Black and
    Rogaway 2002)."""
    place = np.empty(len(index), np.int64)
    for part in blocks(len(index)):
        place[part] = _permute_block(index[part].astype(np.uint64), size[part].astype(np.uint64), key[part])
    return place


def _permute_block(index: Words, size: Words, key: Words) -> Words:
    rows = np.ceil(np.sqrt(size)).astype(np.uint64)
    columns = (size + rows - np.uint64(1)) // rows
    # A shift first, so that every place is as likely even in a range that is too small for the network to mix.
    place = index + key % size
    place -= size * (place >= size)
    place = _encrypt(place, rows, columns, key)
    outside = np.flatnonzero(place >= size)
    while len(outside):
        place[outside] = _encrypt(place[outside], rows[outside], columns[outside], key[outside])
        outside = outside[place[outside] >= size[outside]]
    return place


def _encrypt(place: Words, rows: Words, columns: Words, key: Words) -> Words:
    left = place // columns
    right = place - left * columns
    of_left, of_right = rows, columns
    for round_key in ROUND_KEYS:
        shift = hash64(right ^ (key + round_key))
        shift >>= np.uint64(32)
        shift *= of_left
        shift >>= np.uint64(32)  # a 32-bit fraction times the size: random below the size, without a division
        shift += left
        shift -= of_left * (shift >= of_left)
        left, right = right, shift
        of_left, of_right = of_right, of_left
    return left * columns + right
