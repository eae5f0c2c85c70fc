"""Random permutations of any length without storing them: a Feistel network with cycle walking."""

import numpy as np
from numpy.typing import NDArray

ROUNDS = 4  # enough for sampling order (Luby-Rackoff); this is no cryptography


def permute(index: NDArray[np.int64], size: NDArray[np.int64], key: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where the permutation of range(size) chosen by `key` sends `index`; all three (M,), 0 <= index < size."""
    bits = np.ceil(np.log2(np.maximum(size, 4)) / 2).astype(np.uint64)
    mask = (np.uint64(1) << bits) - np.uint64(1)
    value = index.astype(np.uint64)
    todo = np.ones(len(value), bool)
    while todo.any():
        value[todo] = _encrypt(value[todo], bits[todo], mask[todo], key[todo])
        todo = value >= size.astype(np.uint64)  # outside the range: walk on along the cycle
    return value.astype(np.int64)


def _encrypt(
    value: NDArray[np.uint64], bits: NDArray[np.uint64], mask: NDArray[np.uint64], key: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    left, right = value >> bits, value & mask
    for turn in range(ROUNDS):
        left, right = right, left ^ (mix(right ^ mix(key + np.uint64(turn))) & mask)
    return (left << bits) | right


def mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit moves about half of the output bits."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
