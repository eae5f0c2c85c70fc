"""Random numbers that depend on a key alone: each key gives the same number, whichever keys are asked for with it."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
GAMMA = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio: splitmix64's step


def hash64(value: Words) -> Words:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit moves about half of the output bits."""
    value = value + GAMMA
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


def stream(key_N: Words, count: int, start: int = 0) -> Words:
    """`count` numbers of splitmix64 from each key, from number `start` on, (N, count). The keys must be hashed: keys
    that differ by little can give the same numbers, only shifted."""
    return hash64(key_N[:, None] + GAMMA * np.arange(start, start + count, dtype=np.uint64))


def seed_of(*entropy: int) -> int:
    """A seed of 63 bits, as all generators take it, from any whole numbers from 0 up (numpy's SeedSequence)."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def uniforms(words: Words) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) from random words, of the same shape."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(key: Words) -> NDArray[np.float64]:
    """Standard normal numbers, one a key, of the same shape (Box and Muller 1958)."""
    first, second = hash64(key), hash64(~key)
    radius = np.sqrt(-2 * np.log(((first >> np.uint64(11)) + np.uint64(1)) * 2.0**-53))
    return radius * np.cos((second >> np.uint64(11)) * (2 * np.pi * 2.0**-53))
