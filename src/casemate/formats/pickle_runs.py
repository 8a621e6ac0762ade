"""The short cut of the pickle machine: a whole marked group of plain data, skipped in one go.

In a stream whose memo holds nothing but data, what lies between MARK and the APPENDS or SETITEMS
that puts it into an ordinary container can do nothing but add entries to the memo. Such a group is
stepped over by the lengths of its opcodes, and only its memo entries are kept. Anything else that
is met, and any doubt, sends the machine back to the MARK to go opcode by opcode.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_values import DATA

SIZES = bytearray(op.PUSHES)
"""Bytes taken by opcodes that need no look: constants, and what only moves data about."""
for _code in (op.EMPTY_LIST, op.EMPTY_DICT):
    SIZES[_code] = 0
for _code in (op.EMPTY_TUPLE, op.APPEND, op.SETITEM):
    SIZES[_code] = 1
SIZES_WITH_GETS = bytearray(SIZES)
SIZES_WITH_GETS[op.BINGET] = 2
DENSE_ENOUGH = 256
"""Entries of the memo from which every BINGET finds one."""
_NUMBERS = re.compile(rb"(?:K[\s\S]|M[\s\S]{2}|J[\s\S]{4}|G[\s\S]{8})*+").match
MANY = 8


class Group(NamedTuple):
    """A group that was skipped: where it ends, what it put in the memo, which frame it ends in."""

    end: int
    puts: list[int]
    frame: int | None


def skip_group(
    buffer: bytes, pos: int, base: int, limit: int, memo: int, frame: int | None
) -> Group | None:
    """Skip from a MARK to behind the opcode that takes its group, or return None.

    Args:
        buffer: The window; some bytes can be read beyond `limit`.
        pos: Where MARK stands in it.
        base: Offset of the window in the stream.
        limit: Where in the window reading must stop.
        memo: Entries of the memo so far.
        frame: Where in the window the present frame ends, None outside of one.
    """
    puts: list[int] = []
    put = puts.append
    sizes = SIZES_WITH_GETS if memo >= DENSE_ENOUGH else SIZES
    stop = limit if frame is None else min(limit, frame)
    depth = 1
    plain = 0
    pos += 1
    while True:
        if pos >= stop:
            if pos != frame or buffer[pos] != op.FRAME or pos + 9 > limit:
                return None
            frame = pos + 9 + int.from_bytes(buffer[pos + 1 : pos + 9], "little")
            stop = min(limit, frame)
            pos += 9
            continue
        code = buffer[pos]
        size = sizes[code]
        if size:
            pos += size
            plain += 1
            if plain == MANY:
                plain = 0
                run = _NUMBERS(buffer, pos, stop)
                if run is not None:
                    pos = run.end()
        elif code == 0x8C:  # SHORT_BINUNICODE
            after = pos + 2 + buffer[pos + 1]
            if after < stop and buffer[after] == 0x94:
                put(base + pos)
                pos = after + 1
            else:
                pos = after
        elif code == 0x65 or code == 0x75:  # APPENDS, SETITEMS
            depth -= 1
            pos += 1
            if not depth:
                return Group(pos, puts, frame)
        elif code == 0x7D or code == 0x5D:  # EMPTY_DICT, EMPTY_LIST
            start = pos
            pos += 1
            if buffer[pos] == 0x94 and pos < stop:
                put(base + start)
                pos += 1
            if buffer[pos] == 0x28 and pos < stop:
                depth += 1
                pos += 1
        elif code == 0x86 or code == 0x87 or code == 0x85:  # TUPLE1 to TUPLE3
            pos += 1
            if buffer[pos] == 0x94 and pos < stop:
                put(DATA)
                pos += 1
        elif code == 0x6A and int.from_bytes(buffer[pos + 1 : pos + 5], "little") < memo:
            pos += 5  # LONG_BINGET
        else:
            return None
