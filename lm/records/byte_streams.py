"""The bytes of a file, decompressed, and its lines of text."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow
from zstandard import ZstdDecompressor, ZstdError

BUFFER = 1 << 20  # bytes that are read ahead
PACKED = {".gz": "gzip", ".bz2": "bz2"}
ZSTD_WINDOW = 1 << 31  # bytes; the longest that the zstd command writes
ZSTD_CHUNK = 1 << 17  # compressed bytes at a time
# What reading and decoding raise for a damaged file.
READ_ERRORS = (OSError, EOFError, ValueError, MemoryError, pyarrow.ArrowException, ZstdError)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MARKS = (  # byte order marks; that of UTF-16 begins that of UTF-32, which therefore goes first
    (BYTE_ORDER_MARK, "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@contextmanager
def open_bytes(path: Path) -> Iterator[tuple[io.BufferedReader, Callable[[], int]]]:
    """(the decompressed bytes of a file, a function that tells how many of its bytes are read so far)."""
    suffix = path.suffix.lower()
    if suffix in PACKED:
        with pyarrow.OSFile(str(path)) as source, pyarrow.CompressedInputStream(source, PACKED[suffix]) as unpacked:
            yield io.BufferedReader(unpacked, BUFFER), source.tell
    else:
        with open(path, "rb") as file:
            yield io.BufferedReader(_Zstd(file), BUFFER) if suffix == ".zst" else file, file.tell


def text_encoding(stream: io.BufferedReader) -> str:
    """The encoding that the byte order mark of a stream names, or "utf-8". ValueError: UTF-16 or UTF-32 without one."""
    head = stream.peek(4096)[:4096]
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    if head.count(0) > len(head) // 4:
        raise ValueError("its bytes look like UTF-16 or UTF-32 without a byte order mark; save it as UTF-8")
    return "utf-8"


def byte_lines(stream: io.BufferedReader) -> Iterator[bytes]:
    """The lines of a stream as UTF-8, without a byte order mark. ValueError: invalid UTF-16 or UTF-32."""
    encoding = text_encoding(stream)
    if encoding == "utf-8-sig":
        stream.read(len(BYTE_ORDER_MARK))
    if encoding.startswith("utf-8"):
        return stream
    return _recoded(stream, encoding)


def _recoded(stream: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    text = io.TextIOWrapper(stream, encoding, newline="\n")
    try:
        for line in text:
            yield line.encode()
    finally:
        text.detach()  # or it would close the stream, which is not its own


class _Zstd(io.RawIOBase):
    """The plain bytes of zstd frames. EOFError: the last one is cut, which the library's own reader does not tell."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._plain = file, memoryview(b"")
        self._unpacker = ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._unpacker.decompressobj()
        self._inside = False  # a frame

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._plain:
            if self._frame.eof:
                packed = self._frame.unused_data
                self._frame, self._inside = self._unpacker.decompressobj(), False
            else:
                packed = b""
            packed = packed or self._file.read(ZSTD_CHUNK)
            if not packed:
                if self._inside:
                    raise EOFError("the compressed data ends early")
                return 0
            self._inside = True
            self._plain = memoryview(self._frame.decompress(packed))
        size = min(len(buffer), len(self._plain))
        buffer[:size] = self._plain[:size]
        self._plain = self._plain[size:]
        return size
