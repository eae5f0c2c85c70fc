"""The texts of a corpus as a sequence of strings that are read from disk when asked for."""

import os
import weakref
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

TEXT, TEXT_OFFSETS = "text.bin", "text_offsets.bin"


class Texts(Sequence[str]):
    """D documents, one after another as UTF-8 in a file; offsets: (D + 1,) int64 into it.

    The file is not memory-mapped: after a pass over it, mapped pages would count as this process's memory."""

    def __init__(self, path: Path, offsets: NDArray[np.int64]):
        self.offsets = offsets
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """A 64-bit hash of each document's bytes, (D,), by which it is known again in another corpus. Reads the whole
        text once, about a gigabyte a second."""
        edges = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
        digests = (blake2b(_read(self._file, end - begin, begin), digest_size=8).digest() for begin, end in edges)
        return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            return self._run(start, max(start, stop)) if step == 1 else [self[i] for i in range(start, stop, step)]
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        index %= len(self)
        return self._run(index, index + 1)[0]

    def _run(self, start: int, stop: int) -> list[str]:
        """Consecutive documents, in one read."""
        edges = self.offsets[start : stop + 1].tolist()
        data = memoryview(_read(self._file, edges[-1] - edges[0], edges[0]))
        return [
            str(data[begin - edges[0] : end - edges[0]], "utf-8", "replace")
            for begin, end in zip(edges[:-1], edges[1:], strict=True)
        ]


def _read(file: int, size: int, offset: int) -> bytes:
    """`size` bytes from `offset` on; the system reads at most 2 GiB at a time."""
    data = os.pread(file, size, offset)
    while len(data) < size:
        more = os.pread(file, size - len(data), offset + len(data))
        if not more:
            raise OSError(f"the text file ends at byte {offset + len(data)}, expected {offset + size}")
        data += more
    return data
