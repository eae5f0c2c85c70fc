"""Long arrays are computed in short blocks, so that intermediate results are small and stay in the processor's cache.

Fresh memory for a large array is also slow to get: a page fault for every 4 KiB costs more than the arithmetic.
"""

from collections.abc import Iterator

BLOCK = 16_384


def blocks(length: int) -> Iterator[slice]:
    """Slices of at most BLOCK elements that cover range(length)."""
    for start in range(0, length, BLOCK):
        yield slice(start, min(start + BLOCK, length))
