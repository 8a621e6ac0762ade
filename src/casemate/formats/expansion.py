"""Expansion: the output of a compressed stream as a Source, made as far as someone reads.

Stands under the readers of compressed files and of archive members. Every decompressor is fed by
hand so that one call yields little, whatever the input claims, and every byte is counted.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import TYPE_CHECKING, Protocol

from casemate.errors import LimitExceeded
from casemate.formats.source import Source, Spool

if TYPE_CHECKING:
    from collections.abc import Callable

    from casemate.formats.budget import Budget

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

    def feed(self, data: bytes) -> bytes:
        """Return at most about STEP_OUT bytes; call with no data while there may be more."""

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

    def feed(self, data: bytes) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, STEP_OUT)

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

    def feed(self, data: bytes) -> bytes:
        return self._inner.decompress(data, STEP_OUT)

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

    def feed(self, data: bytes) -> bytes:
        out: bytes = self._inner.decompress(data, STEP_OUT)
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

    def feed(self, data: bytes) -> bytes:
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
        for _ in range(STEP_OUT >> 17):
            header = int.from_bytes(source.read(offset, 3), "little")
            offset += 3 + (1 if header >> 1 & 3 == 1 else header >> 3)
            if header & 1:
                return offset + self._checksum - start
            if offset >= source.size:
                break
        return offset - start


class _ZipLzma(_Stdlib):
    """LZMA as zip stores it (APPNOTE 5.8.8): two version bytes and a length before the properties.

    The same stream is a .lzma file once those are replaced by a header without a size.
    """

    def __init__(self) -> None:
        super().__init__(lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY))
        self._started = False

    def feed(self, data: bytes) -> bytes:
        if not self._started:
            self._started = True
            data = data[4:9] + b"\xff" * 8 + data[9:]
        return super().feed(data)


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


class Expansion(Source):
    """The output of one compressed stream, expanded as far as someone reads.

    Args:
        source: Where the compressed bytes are.
        kind: A key of DECODERS.
        budget: Counts every byte that comes out.
        size: What the container says comes out; None to find out, which expands everything. A
            stream that breaks off before makes it smaller once that has been seen.
    """

    __slots__ = (
        "_budget",
        "_decoder",
        "_kind",
        "_of",
        "_spool",
        "bomb",
        "consumed",
        "ended",
        "trouble",
    )

    def __init__(
        self, source: Source, kind: str, budget: Budget, name: str, size: int | None = None
    ) -> None:
        super().__init__(name, 0)
        self._of = source
        self._kind = kind
        self._budget = budget
        self._decoder = DECODERS[kind]()
        self._spool = Spool(name)
        self.consumed = 0
        """Compressed bytes read that belong to the stream."""
        self.ended = False
        """No more will come, for whatever reason."""
        self.trouble = ""
        """Why it broke off; empty when it ended properly."""
        self.bomb = False
        if size is None:
            self.drain()
            self.size = self._spool.size
        else:
            self.size = size

    @property
    def produced(self) -> int:
        """Bytes that have come out so far."""
        return self._spool.size

    def drain(self, limit: int | None = None) -> None:
        """Expand until `limit` bytes are out, or to the end."""
        while not self.ended and (limit is None or self._spool.size < limit):
            try:
                self._step()
            except LimitExceeded as error:
                self.ended, self.bomb, self.trouble = True, True, str(error)
            except BROKEN as error:
                self.ended, self.trouble = True, f"{type(error).__name__}: {error}"

    def _step(self) -> None:
        decoder = self._decoder
        if not self.consumed and self._budget.expansion_spent:
            raise LimitExceeded("was not begun: the file has expanded without measure already")
        data = b""
        if decoder.hungry:
            data = self._of.read(self.consumed, decoder.want(self._of, self.consumed))
            if not data:
                self.ended = True
                self.trouble = "" if decoder.eof else "the stream ends early"
                return
        out = decoder.feed(data)
        self.consumed += len(data)
        if out:
            self._spool.write(out)
            self._budget.spend_expansion(len(out), self._spool.size, self.consumed)
        else:
            self._budget.spend_time()
        if decoder.eof:
            self.consumed -= len(decoder.unused_data)
            self._restart()

    def _restart(self) -> None:
        if self._kind in RESTARTS and starts(self._kind, self._of, self.consumed):
            self._decoder = DECODERS[self._kind]()
        else:
            self.ended = True

    def _fetch(self, offset: int, n: int) -> bytes:
        self.drain(offset + n)
        if self.ended:
            self.size = min(self.size, self._spool.size)
        return self._spool.read(offset, n)

    def close(self) -> None:
        """Drop what was expanded."""
        self._spool.close()


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
