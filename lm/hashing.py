"""Random numbers that are functions of a key: the same for a thing whatever it is asked together with."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def mix(value: Words) -> Words:
    """The finaliser of splitmix64 (Steele et al. 2014): every input bit moves about half of the output bits."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


def normals(key: Words) -> NDArray[np.float64]:
    """Standard normal numbers, one a key, of its shape (Box and Muller 1958)."""
    first, second = mix(key), mix(~key)
    radius = np.sqrt(-2 * np.log(((first >> np.uint64(11)) + np.uint64(1)) * 2.0**-53))
    return radius * np.cos((second >> np.uint64(11)) * (2 * np.pi * 2.0**-53))
