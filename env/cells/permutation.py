"""Random permutations of any length without storing them: a Feistel network with cycle walking."""

import numpy as np
from numpy.typing import NDArray

from ...lm.keyed_random import Words, hash64
from .blocks import blocks

ROUNDS = 4  # enough for sampling order (Luby-Rackoff); even, so that both halves end where they began
ROUND_KEYS = np.arange(1, ROUNDS + 1, dtype=np.uint64) * np.uint64(0xD1B54A32D192ED03)  # odd, without a pattern


def permute(index: NDArray[np.int64], size: NDArray[np.int64], key: Words) -> NDArray[np.int64]:
    """Where the permutation of range(size) chosen by `key` sends `index`; all three (M,), 0 <= index < size.

    An index is a place in a rectangle of about sqrt(size) x sqrt(size), which has less than a row too many: so only
    one index in sqrt(size) leaves the range and has to walk on along its cycle (Black and Rogaway 2002)."""
    place_M = np.empty(len(index), np.int64)
    for part in blocks(len(index)):
        place_M[part] = _permute_block(index[part].astype(np.uint64), size[part].astype(np.uint64), key[part])
    return place_M


def _permute_block(index_M: Words, size_M: Words, key_M: Words) -> Words:
    rows_M = np.ceil(np.sqrt(size_M)).astype(np.uint64)
    columns_M = (size_M + rows_M - np.uint64(1)) // rows_M
    # A shift first, so that every place is as likely even in a range that is too small for the network to mix.
    place_M = index_M + key_M % size_M
    place_M -= size_M * (place_M >= size_M)
    place_M = _encrypt(place_M, rows_M, columns_M, key_M)
    outside = np.flatnonzero(place_M >= size_M)
    while len(outside):
        place_M[outside] = _encrypt(place_M[outside], rows_M[outside], columns_M[outside], key_M[outside])
        outside = outside[place_M[outside] >= size_M[outside]]
    return place_M


def _encrypt(place_M: Words, rows_M: Words, columns_M: Words, key_M: Words) -> Words:
    left = place_M // columns_M
    right = place_M - left * columns_M
    of_left, of_right = rows_M, columns_M
    for round_key in ROUND_KEYS:
        shift = hash64(right ^ (key_M + round_key))
        shift >>= np.uint64(32)
        shift *= of_left
        shift >>= np.uint64(32)  # a 32-bit fraction times the size: random below the size, without a division
        shift += left
        shift -= of_left * (shift >= of_left)
        left, right = right, shift
        of_left, of_right = of_right, of_left
    return left * columns_M + right
