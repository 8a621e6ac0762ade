"""Source: bounded random access to bytes we do not trust, from a file, from memory, from a stream.

Every reader in `formats` takes a Source and nothing else. A file is read by position, so that a
tensor of a gigabyte that nobody asks for costs neither time nor memory; what comes out of a
compressed stream is kept in memory while small and in an unnamed temporary file beyond that.
"""

from __future__ import annotations

import os
import tempfile
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

CHUNK = 1 << 20
"""Bytes read at a time when a range is walked."""
SPOOL_IN_MEMORY = 16 << 20
"""Decompressed bytes kept in memory before they go to a temporary file."""
CACHED = 8192


class Source:
    """Bytes of a known size that can be read anywhere; a read past the end comes back short."""

    __slots__ = ("memo", "name", "size")

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.memo: dict[str, object] = {}
        """What a reader has worked out about these bytes and another will want: a directory."""

    def read(self, offset: int, n: int) -> bytes:
        """Return up to `n` bytes from `offset`; fewer at the end, none beyond it."""
        if offset < 0 or n <= 0 or offset >= self.size:
            return b""
        return self._fetch(offset, min(n, self.size - offset))

    def sub(self, offset: int, size: int, name: str) -> Source:
        """Return a view of `size` bytes from `offset`, cut to what is there."""
        offset = min(max(offset, 0), self.size)
        return _View(self, offset, max(0, min(size, self.size - offset)), name)

    def chunks(self, start: int = 0, end: int | None = None, step: int = CHUNK) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end` in pieces of at most `step`."""
        stop = self.size if end is None else min(end, self.size)
        while start < stop:
            piece = self.read(start, min(step, stop - start))
            if not piece:
                return
            yield piece
            start += len(piece)

    def find(self, needle: bytes, start: int = 0, end: int | None = None) -> int:
        """Return where `needle` first begins in the range and ends within it, or -1."""
        stop = self.size if end is None else min(end, self.size)
        overlap = len(needle) - 1
        while start + len(needle) <= stop:
            piece = self.read(start, min(CHUNK + overlap, stop - start))
            at = piece.find(needle)
            if at >= 0:
                return start + at
            if len(piece) <= overlap:
                return -1
            start += len(piece) - overlap
        return -1

    def rfind(self, needle: bytes, start: int = 0, end: int | None = None) -> int:
        """Return where `needle` last begins in the range and ends within it, or -1."""
        stop = self.size if end is None else min(end, self.size)
        overlap = len(needle) - 1
        start = max(start, 0)
        while start + len(needle) <= stop:
            low = max(start, stop - CHUNK - overlap)
            at = self.read(low, stop - low).rfind(needle)
            if at >= 0:
                return low + at
            if low == start:
                return -1
            stop = low + overlap
        return -1

    def close(self) -> None:
        """Let go of what stands behind the bytes; views need no closing."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _fetch(self, offset: int, n: int) -> bytes:
        raise NotImplementedError


class BytesSource(Source):
    """Bytes that are in memory already."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes, name: str = "") -> None:
        super().__init__(name, len(data))
        self._data = data

    def _fetch(self, offset: int, n: int) -> bytes:
        return self._data[offset : offset + n]


class FileSource(Source):
    """A file on disk, read by position.

    Its size is taken once, when it is opened: a file that grows or shrinks meanwhile gives short
    reads and never other bytes than were asked for.
    """

    __slots__ = ("_cache", "_cached_at", "_file", "_lock")

    def __init__(self, file: IO[bytes], name: str) -> None:
        super().__init__(name, os.fstat(file.fileno()).st_size)
        self._file = file
        self._lock = threading.Lock()
        self._cache = b""
        self._cached_at = 0

    @classmethod
    def open(cls, path: Path, name: str | None = None) -> FileSource:
        """Open `path` for reading.

        Raises:
            OSError: It cannot be opened.
        """
        return cls(path.open("rb", buffering=0), name or path.name)

    def _fetch(self, offset: int, n: int) -> bytes:
        start = offset - self._cached_at
        if start >= 0 and start + n <= len(self._cache):
            return self._cache[start : start + n]
        if n > CACHED:
            return self._positioned(offset, n)
        self._cache = self._positioned(offset, CACHED)
        self._cached_at = offset
        return self._cache[:n]

    def _positioned(self, offset: int, n: int) -> bytes:
        pieces: list[bytes] = []
        with self._lock:
            while n > 0:
                if hasattr(os, "pread"):
                    piece = os.pread(self._file.fileno(), n, offset)
                else:
                    self._file.seek(offset)
                    piece = self._file.read(n)
                if not piece:
                    break
                pieces.append(piece)
                offset += len(piece)
                n -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Spool(Source):
    """Bytes written once, in order, then read anywhere: where decompressed streams go."""

    __slots__ = ("_file", "_memory")

    def __init__(self, name: str) -> None:
        super().__init__(name, 0)
        self._memory = bytearray()
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if self._file is None and self.size + len(data) > SPOOL_IN_MEMORY:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
            self._file.write(self._memory)
            self._memory = bytearray()
        if self._file is None:
            self._memory += data
        else:
            self._file.seek(self.size)
            self._file.write(data)
        self.size += len(data)

    def _fetch(self, offset: int, n: int) -> bytes:
        if self._file is None:
            return bytes(self._memory[offset : offset + n])
        self._file.seek(offset)
        return self._file.read(n)

    def close(self) -> None:
        """Drop the bytes."""
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()


class _View(Source):
    __slots__ = ("_of", "_offset")

    def __init__(self, of: Source, offset: int, size: int, name: str) -> None:
        super().__init__(name, size)
        self._of = of
        self._offset = offset

    def sub(self, offset: int, size: int, name: str) -> Source:
        offset = min(max(offset, 0), self.size)
        size = max(0, min(size, self.size - offset))
        return _View(self._of, self._offset + offset, size, name)

    def _fetch(self, offset: int, n: int) -> bytes:
        return self._of.read(self._offset + offset, n)
