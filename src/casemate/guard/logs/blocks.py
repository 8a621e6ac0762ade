"""A log file as blocks of bytes: gzip and zstd opened, UTF-16 turned into UTF-8.

Streams in bounded memory. A file that ends too early gives what it has and then says so.
"""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING, BinaryIO

from casemate.errors import FormatError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 1 << 20
EXPANDS = 2_000
"""Bytes out of one byte in, beyond which a file is a bomb and no log; deflate reaches 1,032."""
_SLACK = 1 << 28
_BITE = 4096
"""Bytes of zstd taken at once, which bounds what one call may return."""


def blocks(stream: BinaryIO, read: Callable[[int], None] | None = None) -> Iterator[bytes]:
    """Yield the text of a file in blocks.

    Args:
        stream: The file, at its beginning.
        read: Told how many bytes of the file itself each block took, for progress.

    Raises:
        FormatError: It ends too early, or is damaged; what came before it has been yielded.
        LimitExceeded: It expands beyond reason.
    """
    raw = _raw(stream, read)
    first = next(raw, b"")
    if first.startswith(b"\x1f\x8b"):
        found = _gzip(first, raw)
    elif first.startswith(b"\x28\xb5\x2f\xfd"):
        found = _zstd(first, raw)
    else:
        found = _chain(first, raw)
    yield from _text(found)


def _raw(stream: BinaryIO, read: Callable[[int], None] | None) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        if read is not None:
            read(len(block))
        yield block


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _gzip(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    inside = zlib.decompressobj(31)
    taken = given = 0
    for block in _chain(first, rest):
        taken += len(block)
        data = block
        full = False
        while data or full:
            if inside.eof:
                data = data.lstrip(b"\0")  # padding between and after members
                if not data:
                    break
                inside = zlib.decompressobj(31)
            try:
                out = inside.decompress(data, BLOCK)
            except zlib.error as error:
                raise FormatError("the gzip file is damaged") from error
            data = inside.unused_data if inside.eof else inside.unconsumed_tail
            full = len(out) == BLOCK  # more may be waiting although all of `data` was taken
            given += len(out)
            _check(taken, given)
            if out:
                yield out
    if not inside.eof:
        raise FormatError("the gzip file stops in the middle")


def _zstd(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard

    maker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    inside = maker.decompressobj()
    taken = given = 0
    for block in _chain(first, rest):
        for at in range(0, len(block), _BITE):
            data = block[at : at + _BITE]
            taken += len(data)
            while data:
                if inside.eof:
                    inside = maker.decompressobj()
                try:
                    out = inside.decompress(data)
                except zstandard.ZstdError as error:
                    raise FormatError("the zstd file is damaged") from error
                data = inside.unused_data if inside.eof else b""
                given += len(out)
                _check(taken, given)
                if out:
                    yield out
    if not inside.eof:
        raise FormatError("the zstd file stops in the middle")


def _check(taken: int, given: int) -> None:
    if given > _SLACK and given > taken * EXPANDS:
        raise LimitExceeded(f"the file expands more than {EXPANDS} times: no log does")


def _text(found: Iterator[bytes]) -> Iterator[bytes]:
    first = next(found, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        for block in _chain(first, found):
            yield decoder.decode(block).encode("utf-8", "surrogatepass")
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            raise FormatError("the UTF-16 file stops in the middle of a character") from error
        return
    yield from _chain(first.removeprefix(codecs.BOM_UTF8), found)
