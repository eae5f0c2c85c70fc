"""Each byte of a text with the three before it, as numbers to count by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEFORE = 3  # bytes before a byte, that it is predicted from
CODE_BITS = 20
NUM_CODES = 1 << CODE_BITS
PART_BYTES = 4_000_000  # about so many are counted or summed at a time: it bounds the memory
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
        encoded = [text.encode() for text in texts]
        count = np.array([len(document) for document in encoded], np.int64)
        byte = np.frombuffer(b"".join(encoded), np.uint8)
        del encoded
        context = np.zeros(len(byte), np.uint32)
        for back in range(BEFORE, 0, -1):
            context <<= 8
            context[back:] |= byte[:-back]
        first = np.cumsum(count) - count
        for known in range(BEFORE):
            context[first[count > known] + known] &= (1 << 8 * known) - 1
        gram = context << np.uint32(8)
        gram |= byte
        return cls(byte, _hashed(context), _hashed(gram), count)

    def parts(self) -> Iterator[tuple[NDArray[np.intp], "ByteCodes"]]:
        """The codes in parts of less than 2 * PART_BYTES, as views: the document of each piece in a part (pieces,), and
        the pieces' codes. A longer document is in pieces of PART_BYTES, wherever it stands among the others."""
        pieces = np.maximum(-(-self.count // PART_BYTES), 1)
        document = np.repeat(np.arange(len(pieces)), pieces)
        size = np.full(len(document), PART_BYTES, np.int64)
        size[np.cumsum(pieces) - 1] = self.count - PART_BYTES * (pieces - 1)
        stop = np.cumsum(size)
        part = (stop - size) // PART_BYTES
        for number in np.unique(part):
            low, high = np.searchsorted(part, [number, number + 1])
            at = slice(stop[low] - size[low], stop[high - 1])
            yield document[low:high], ByteCodes(self.byte[at], self.context[at], self.gram[at], size[low:high])

    def sums(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sum of values (B,) over the bytes of each document, (D,)."""
        total, filled = np.zeros(len(self.count)), self.count > 0
        first = np.cumsum(self.count) - self.count
        if filled.any():
            total[filled] = np.add.reduceat(values.astype(np.float64), first[filled])
        return total


def _hashed(value: NDArray[np.uint32]) -> NDArray[np.int32]:
    """In place."""
    value *= np.uint32(0x9E3779B1)
    value >>= np.uint32(32 - CODE_BITS)
    return value.view(np.int32)


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
