"""The opcodes of pickle protocols 0 to 5, by number, and how long the fixed ones are.

Source: `Lib/pickletools.py` and `Lib/pickle.py` of CPython 3.11; no opcode was added or changed
up to 3.14.
"""

from __future__ import annotations

MARK = 0x28
EMPTY_TUPLE = 0x29
STOP = 0x2E
POP = 0x30
POP_MARK = 0x31
DUP = 0x32
BINBYTES = 0x42
SHORT_BINBYTES = 0x43
FLOAT = 0x46
BINFLOAT = 0x47
INT = 0x49
BININT = 0x4A
BININT1 = 0x4B
LONG = 0x4C
BININT2 = 0x4D
NONE = 0x4E
PERSID = 0x50
BINPERSID = 0x51
REDUCE = 0x52
STRING = 0x53
BINSTRING = 0x54
SHORT_BINSTRING = 0x55
UNICODE = 0x56
BINUNICODE = 0x58
EMPTY_LIST = 0x5D
APPEND = 0x61
BUILD = 0x62
GLOBAL = 0x63
DICT = 0x64
APPENDS = 0x65
GET = 0x67
BINGET = 0x68
INST = 0x69
LONG_BINGET = 0x6A
LIST = 0x6C
OBJ = 0x6F
PUT = 0x70
BINPUT = 0x71
LONG_BINPUT = 0x72
SETITEM = 0x73
TUPLE = 0x74
SETITEMS = 0x75
EMPTY_DICT = 0x7D
PROTO = 0x80
NEWOBJ = 0x81
EXT1 = 0x82
EXT2 = 0x83
EXT4 = 0x84
TUPLE1 = 0x85
TUPLE2 = 0x86
TUPLE3 = 0x87
NEWTRUE = 0x88
NEWFALSE = 0x89
LONG1 = 0x8A
LONG4 = 0x8B
SHORT_BINUNICODE = 0x8C
BINUNICODE8 = 0x8D
BINBYTES8 = 0x8E
EMPTY_SET = 0x8F
ADDITEMS = 0x90
FROZENSET = 0x91
NEWOBJ_EX = 0x92
STACK_GLOBAL = 0x93
MEMOIZE = 0x94
FRAME = 0x95
BYTEARRAY8 = 0x96
NEXT_BUFFER = 0x97
READONLY_BUFFER = 0x98

NAMES = {
    value: name
    for name, value in list(globals().items())
    if name.isupper() and isinstance(value, int)
}
"""Opcode number to its name in the standard library."""

PUSHES = bytearray(256)
"""Bytes taken by an opcode of fixed length that does nothing but push a constant; 0 for others."""
for _op, _size in (
    (BININT1, 2),
    (BININT2, 3),
    (BININT, 5),
    (BINFLOAT, 9),
    (NONE, 1),
    (NEWTRUE, 1),
    (NEWFALSE, 1),
    (EMPTY_LIST, 1),
    (EMPTY_DICT, 1),
    (EMPTY_SET, 1),
):
    PUSHES[_op] = _size

TEXT = frozenset({SHORT_BINUNICODE, BINUNICODE, BINUNICODE8, UNICODE})
"""Push a str whatever the reader's settings."""
OLD_STRINGS = frozenset({STRING, BINSTRING, SHORT_BINSTRING})
"""Push a str or bytes, by the `encoding` the reader was given; written by Python 2."""
BYTES = frozenset({SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8})
LINES = frozenset({INT, LONG, FLOAT, STRING, UNICODE})
"""Push a constant written as one line of text."""
SIZED = {
    SHORT_BINUNICODE: (1, False),
    SHORT_BINBYTES: (1, False),
    SHORT_BINSTRING: (1, False),
    LONG1: (1, False),
    BINUNICODE: (4, False),
    BINBYTES: (4, False),
    BINSTRING: (4, True),
    LONG4: (4, True),
    BINUNICODE8: (8, False),
    BINBYTES8: (8, False),
    BYTEARRAY8: (8, False),
}
"""Push a constant that follows its own length: bytes of the length, whether it is signed."""
CONTAINERS = frozenset({EMPTY_LIST, EMPTY_DICT, EMPTY_SET, LIST, DICT, TUPLE, FROZENSET})
NAMES_BY_NUMBER = frozenset(NAMES)
OPENERS = frozenset(
    {
        MARK, EMPTY_TUPLE, EMPTY_LIST, EMPTY_DICT, EMPTY_SET, GLOBAL, INT, LONG, FLOAT, BINFLOAT,
        BININT, BININT1, BININT2, NONE, STRING, BINSTRING, SHORT_BINSTRING, UNICODE, BINUNICODE,
        SHORT_BINUNICODE, BINUNICODE8, PERSID, LONG1, LONG4, NEWTRUE, NEWFALSE, BINBYTES,
        SHORT_BINBYTES, BINBYTES8, BYTEARRAY8, FRAME, EXT1, EXT2, EXT4, INST, NEXT_BUFFER,
    }
)  # fmt: skip
"""Opcodes that can stand first, because they need nothing on the stack."""
