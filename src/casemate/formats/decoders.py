"""Decompressors fed by hand: one interface over seven libraries' worth of them.

Each call yields little, whatever the input claims. lz4 and zstandard are imported when a stream of
theirs is met.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.formats.source import Source

STEP_IN = 1 << 16
STEP_OUT = 1 << 20
LZMA_MEMORY = 96 << 20
"""xz -9 needs 65 MB to decompress."""
ZSTD_WINDOW = 1 << 26


class Decoder(Protocol):
    """A decompressor fed by hand."""

    @property
    def eof(self) -> bool:
        """Whether the stream has said that it ends."""

    @property
    def unused_data(self) -> bytes:
        """Input behind the end."""

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:
        """Return at most about `limit` bytes; call with no data while there may be more."""

    @property
    def hungry(self) -> bool:
        """Whether more input is needed to get more out."""

    def want(self, source: Source, offset: int) -> int:
        """Return how much input to feed next, read from `offset` of `source`."""


class _Zlib:
    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def hungry(self) -> bool:
        return not self._inner.unconsumed_tail

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, limit)

    def want(self, source: Source, offset: int) -> int:  # noqa: ARG002
        return STEP_IN


class _Stdlib:
    def __init__(self, inner: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._inner = inner

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def hungry(self) -> bool:
        return self._inner.needs_input

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:
        return self._inner.decompress(data, limit)

    def want(self, source: Source, offset: int) -> int:  # noqa: ARG002
        return STEP_IN


class _Lz4:
    def __init__(self) -> None:
        import lz4.frame

        self._inner = lz4.frame.LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data or b""

    @property
    def hungry(self) -> bool:
        return bool(self._inner.needs_input)

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:
        out: bytes = self._inner.decompress(data, limit)
        return out

    def want(self, source: Source, offset: int) -> int:  # noqa: ARG002
        return STEP_IN


class _Zstd:
    """Fed block by block, since the library cannot be asked to cap its output.

    RFC 8878, section 3.1.1: a block expands to at most 128 KiB and says how long it is.
    """

    def __init__(self) -> None:
        import zstandard

        self._error = zstandard.ZstdError
        self._inner = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._in_frame = False
        self._checksum = 0

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def hungry(self) -> bool:
        return True

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:  # noqa: ARG002
        try:
            return self._inner.decompress(data)
        except self._error as error:
            raise ValueError(str(error)) from error

    def want(self, source: Source, offset: int) -> int:
        start = offset
        if not self._in_frame:
            flags = source.read(offset + 4, 1)[:1] or b"\0"
            single = flags[0] >> 5 & 1
            content = (1 if single else 0, 2, 4, 8)[flags[0] >> 6]
            offset += 5 + (1 - single) + (0, 1, 2, 4)[flags[0] & 3] + content
            self._checksum = 4 * (flags[0] >> 2 & 1)
            self._in_frame = True
        elif self._checksum < 0:
            return -self._checksum
        header = int.from_bytes(source.read(offset, 3), "little")
        offset += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
        if header & 1:
            # The checksum goes in apart: a wrong one must not take the last block with it.
            self._checksum = -self._checksum or -1
        return offset - start


class _ZipLzma(_Stdlib):
    """LZMA as zip stores it (APPNOTE 5.8.8): two version bytes and a length before the properties.

    The same stream is a .lzma file once those are replaced by a header without a size.
    """

    def __init__(self) -> None:
        super().__init__(lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY))
        self._started = False

    def feed(self, data: bytes, limit: int = STEP_OUT) -> bytes:
        if not self._started:
            self._started = True
            data = data[4:9] + b"\xff" * 8 + data[9:]
        return super().feed(data, limit)


DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": lambda: _Zlib(31),
    "zlib": lambda: _Zlib(15),
    "deflate": lambda: _Zlib(-15),
    "bzip2": lambda: _Stdlib(bz2.BZ2Decompressor()),
    "xz": lambda: _Stdlib(lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY)),
    "lzma": lambda: _Stdlib(lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY)),
    "zip-lzma": _ZipLzma,
    "lz4": _Lz4,
    "zstd": _Zstd,
}
RESTARTS = {"gzip", "bzip2", "xz", "lz4", "zstd"}
"""Formats in which one stream may follow another and readers go on."""


BROKEN = (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError, RuntimeError)
"""What decompressors raise about their input; lz4 raises RuntimeError."""


MAGIC = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "lz4": b"\x04\x22\x4d\x18",
    "zstd": b"\x28\xb5\x2f\xfd",
}


def starts(kind: str, source: Source, offset: int) -> bool:
    """Say whether a stream of `kind` starts at `offset`, by its magic."""
    magic = MAGIC[kind]
    return source.read(offset, len(magic)) == magic


def header_size(kind: str, source: Source, offset: int) -> int | None:
    """Return the length of the header before a bare deflate stream; None for other kinds.

    RFC 1952, section 2.3, and RFC 1950, section 2.2.
    """
    if kind == "zlib":
        return 2
    if kind == "deflate":
        return 0
    if kind != "gzip":
        return None
    flags = source.read(offset + 3, 1)[:1] or b"\0"
    size = 10
    if flags[0] & 4:
        size += 2 + int.from_bytes(source.read(offset + size, 2), "little")
    for flag in (8, 16):
        if flags[0] & flag:
            end = source.find(b"\0", offset + size, offset + size + (1 << 16))
            if end < 0:
                return None
            size = end + 1 - offset
    return size + (2 if flags[0] & 2 else 0)
