"""Bodies as they travel: compressed or not, and never larger than allowed when unpacked."""

from __future__ import annotations

import zlib

from casemate.errors import FormatError, LimitExceeded

_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_RATIO = 2000
"""What deflate can reach is about 1030 : 1; anything that claims more is not looked at further."""


def plain(body: bytes, encoding: str, most: int) -> bytes:
    """Return a body without its `Content-Encoding`.

    Args:
        body: As it came.
        encoding: The header's value; empty for none.
        most: Largest size in bytes, unpacked.

    Raises:
        FormatError: An encoding that is not read here, or a body that is not in it.
        LimitExceeded: Larger than `most`.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        if len(body) > most:
            raise LimitExceeded(f"a body of {len(body)} bytes; {most} is the limit")
        return body
    window = _WINDOW.get(name)
    if window is None:
        raise FormatError(f"a body in the encoding {name[:40]!r}, which is not read")
    try:
        return _inflate(body, window, most)
    except zlib.error as error:
        if name != "deflate":
            raise FormatError(f"a body that is not {name}") from error
    try:
        # Many senders of `deflate` leave the zlib wrapper out.
        return _inflate(body, -15, most)
    except zlib.error as error:
        raise FormatError(f"a body that is not {name}") from error


def packed(body: bytes, encoding: str) -> bytes:
    """Return a body in an encoding that `plain` reads."""
    window = _WINDOW.get(encoding.strip().lower())
    if window is None:
        return body
    writer = zlib.compressobj(6, zlib.DEFLATED, window)
    return writer.compress(body) + writer.flush()


def _inflate(body: bytes, window: int, most: int) -> bytes:
    reader = zlib.decompressobj(window)
    found = reader.decompress(body, min(most, len(body) * _RATIO) + 1)
    if len(found) > most:
        raise LimitExceeded(f"a body that unpacks to more than {most} bytes")
    if not reader.eof:
        raise FormatError("a compressed body that stops half-way")
    if reader.unused_data:
        # A second gzip member, or smuggled bytes: servers differ in which they read.
        raise FormatError(f"{len(reader.unused_data)} bytes after the compressed body")
    return found
