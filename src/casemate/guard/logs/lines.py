"""Blocks of bytes to lines with their numbers: bounded, whatever a line holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.guard.logs.record import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casemate.guard.logs.tally import Tally

LONGEST = 64 * 1024 * 1024
"""Bytes of a line that is still read; longer ones are skipped and counted."""
TOO_LONG = f"a line longer than {LONGEST >> 20} MB, skipped"
ZEROS = "zero bytes in place of lines: the file has a hole"
STOPS = "the last line stops in the middle"
NOT_UTF8 = "a line that is not UTF-8; odd bytes are kept as %XX"
_ODD = re.compile("[\udc80-\udcff]")


def lines(
    blocks: Iterable[bytes],
    name: str,
    tally: Tally,
    *,
    number: int = 0,
    end: int = 0,
    longest: int = LONGEST,
) -> Iterator[Row]:
    """Yield the lines that hold something, numbered from 1.

    A last line without a newline is yielded too, as open. A file that breaks off gives its lines,
    and the break is counted.

    Args:
        blocks: The file's text.
        name: Its name, for places.
        tally: Where what cannot be read is counted.
        number: Lines before the first block.
        end: Bytes before the first block.
        longest: Longest line that is read.
    """
    held: list[bytes] = []
    size = 0
    whole = True
    try:
        for block in blocks:
            parts = block.split(b"\n")
            for part in parts[:-1]:
                number += 1
                size += len(part)
                if size > longest:
                    tally.add(TOO_LONG, f"{name}:{number}", lost=True)
                    body = b""
                else:
                    held.append(part)
                    body = b"".join(held) if len(held) > 1 else part
                end += size + 1
                held.clear()
                size = 0
                if b"\0" in body:
                    body = _without_zeros(body, f"{name}:{number}", tally)
                if body and not body.isspace():
                    yield Row(number, body, end)
            size += len(parts[-1])
            if size > longest:
                held.clear()
            elif parts[-1]:
                held.append(parts[-1])
    except FormatError as error:
        tally.add(str(error), f"{name}:{number + 1}", lost=True)
        whole = False
    if size > longest:
        tally.add(TOO_LONG, f"{name}:{number + 1}", lost=True)
        return
    body = b"".join(held)
    if b"\0" in body:
        body = _without_zeros(body, f"{name}:{number + 1}", tally)
    if body and not body.isspace():
        if not whole:
            tally.add(STOPS, f"{name}:{number + 1}", lost=True)
        else:
            yield Row(number + 1, body, end + len(body), open=True)


def repaired(body: bytes) -> bytes | None:
    """Return a line of JSON with its odd bytes written out as hex; None when it is UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode("utf-8", "surrogateescape")
        # Percent signs mean nothing to JSON, not even to JSON inside its strings.
        return _ODD.sub(lambda odd: f"%{ord(odd[0]) - 0xDC00:02X}", text).encode("utf-8")
    return None


def _without_zeros(body: bytes, place: str, tally: Tally) -> bytes:
    kept = body.strip(b"\0 \t\r")
    if kept != body:
        tally.add(ZEROS, place, lost=True)
    return kept
