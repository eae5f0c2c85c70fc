"""Each byte of a text with the three before it, as numbers to count by."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEFORE = 3  # bytes before a byte, that it is predicted from
CODE_BITS = 20
NUM_CODES = 1 << CODE_BITS
PRIOR = 20.0  # bytes that the frequencies of single bytes count as after each context


@dataclass(frozen=True)
class ByteCodes:
    """The B bytes of D documents. byte: (B,) uint8; context: (B,) int32 below NUM_CODES, a hash of the bytes before it
    (zeros at a document's beginning); gram: the same of them and the byte; count: (D,), bytes of each document."""

    byte: NDArray[np.uint8]
    context: NDArray[np.int32]
    gram: NDArray[np.int32]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "ByteCodes":
        documents = [bytes(BEFORE) + text.encode() for text in texts]
        joined = np.frombuffer(b"".join(documents), np.uint8)
        length = np.array([len(document) for document in documents], np.int64)
        inside = np.ones(len(joined), bool)
        for zero in range(BEFORE):
            inside[np.cumsum(length) - length + zero] = False
        place = np.flatnonzero(inside)
        byte, context = joined[place], np.zeros(len(place), np.uint32)
        for back in range(BEFORE, 0, -1):
            context = _followed(context, joined[place - back])
        return cls(byte, _hashed(context), _hashed(_followed(context, byte)), length - BEFORE)

    def means(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Mean of values (B,) over the bytes of each document, (D,); 0 of an empty one."""
        total, filled = np.zeros(len(self.count)), self.count > 0
        first = np.cumsum(self.count) - self.count
        if filled.any():
            total[filled] = np.add.reduceat(values.astype(np.float64), first[filled])
        return total / np.maximum(self.count, 1)


def _followed(value: NDArray[np.uint32], byte: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """These bytes behind those of `value`, the last four of all."""
    return (value << 8 | byte).astype(np.uint32)


def _hashed(value: NDArray[np.uint32]) -> NDArray[np.int32]:
    return (value * np.uint32(0x9E3779B1) >> np.uint32(32 - CODE_BITS)).astype(np.int32)


class ByteCounts:
    """How often codes occur in text. gram, context: (NUM_CODES,); byte: (256,), of single bytes, each counted once more
    than it is there."""

    def __init__(self) -> None:
        self.gram, self.context = np.zeros(NUM_CODES), np.zeros(NUM_CODES)
        self.byte = np.ones(256)

    def add(self, codes: ByteCodes) -> None:
        """Count these, too."""
        self.gram += np.bincount(codes.gram, minlength=NUM_CODES)
        self.context += np.bincount(codes.context, minlength=NUM_CODES)
        self.byte += np.bincount(codes.byte, minlength=256)

    def probability(self, codes: ByteCodes) -> NDArray[np.float64]:
        """Of each byte after its context, (B,)."""
        alone = PRIOR * (self.byte / self.byte.sum())[codes.byte]
        return (self.gram[codes.gram] + alone) / (self.context[codes.context] + PRIOR)
