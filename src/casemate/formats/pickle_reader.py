"""Reads constants and small stretches of a pickle back into expressions, for people and for joblib.

The machine keeps offsets instead of contents. Where contents matter (the text of an operand, the
shape of an array, the line of source a responder wants to see) the bytes are read again from the
offset on, within tight bounds.
"""

from __future__ import annotations

import codecs
import struct
from typing import TYPE_CHECKING

from casemate.errors import LimitExceeded
from casemate.formats import pickle_opcodes as op
from casemate.formats.pickle_values import DATA, Global, Made, Value

if TYPE_CHECKING:
    from casemate.formats.pickle_machine import Machine

TEXT_LIMIT = 1 << 16
"""Bytes of a constant that are decoded; a longer one counts as not known."""


SPELLED_LIMIT = 1 << 26


def literal(
    machine: Machine, value: Value, *, where: bool = False, limit: int = TEXT_LIMIT
) -> object:
    """Return the constant at an offset, or None when there is none, or it is too long.

    Args:
        machine: The reading.
        value: A value of the machine.
        where: Return (offset, size) of a bytes constant in place of its contents.
        limit: Bytes that are decoded at most.
    """
    if type(value) is not int or value == DATA:
        return None
    head = machine.bytes_at(value, 9)
    if not head:
        return None
    code = head[0]
    if code in op.SIZED:
        width, signed = op.SIZED[code]
        length = int.from_bytes(head[1 : 1 + width], "little", signed=signed)
        if where:
            known = code in op.BYTES or code in op.OLD_STRINGS
            return (value + 1 + width, length) if known else None
        if not 0 <= length <= limit:
            return None
        return _decoded(code, machine.bytes_at(value + 1 + width, length))
    if where:
        return None
    if code in op.LINES:
        try:
            end = machine.line_end(value + 1, limit)
        except LimitExceeded:
            return None
        return _decoded(code, machine.bytes_at(value + 1, end - value - 1)) if end >= 0 else None
    return _fixed(code, head)


def literal_text(machine: Machine, value: Value) -> str | None:
    """Return the constant at an offset when it is a str, else None."""
    found = literal(machine, value)
    return found if isinstance(found, str) else None


def spelled_bytes(machine: Machine, value: Value) -> bytes | None:
    """Return bytes that are written as `_codecs.encode(text, 'latin1')`, as protocols 0 to 2 do."""
    if not isinstance(value, Made) or not isinstance(value.by, Global):
        return None
    if (value.by.module, value.by.name) != ("_codecs", "encode") or type(value.args) is not tuple:
        return None
    if len(value.args) != 2 or literal_text(machine, value.args[1]) not in ("latin1", "latin-1"):
        return None
    text = literal(machine, value.args[0], limit=SPELLED_LIMIT)
    try:
        return text.encode("latin-1") if isinstance(text, str) else None
    except UnicodeEncodeError:
        return None


def _fixed(code: int, head: bytes) -> object:
    if code == op.BININT1:
        return head[1]
    if code == op.BININT2:
        return int.from_bytes(head[1:3], "little")
    if code == op.BININT:
        return int.from_bytes(head[1:5], "little", signed=True)
    if code == op.BINFLOAT and len(head) == 9:
        return struct.unpack(">d", head[1:9])[0]
    return {op.NEWTRUE: True, op.NEWFALSE: False}.get(code)


def _decoded(code: int, data: bytes) -> object:
    try:
        if code == op.UNICODE:
            return str(data, "raw-unicode-escape")
        if code in op.TEXT:
            return str(data, "utf-8", "surrogatepass")
        if code in op.BYTES:
            return data
        if code == op.STRING:
            if len(data) < 2 or data[0] != data[-1] or data[0] not in b"'\"":
                return None
            return codecs.escape_decode(data[1:-1])[0].decode("ascii")
        if code in op.OLD_STRINGS:
            return data.decode("ascii")
        if code in (op.LONG1, op.LONG4):
            return int.from_bytes(data, "little", signed=True)
        if code == op.FLOAT:
            return float(data)
        if code == op.INT and data in (b"00", b"01"):
            return data == b"01"
        return int(data.rstrip(b"L") or b"0", 0)
    except ValueError:
        return None
