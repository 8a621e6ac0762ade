"""Compiled Python modules: recognised, not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.formats.source import Source

CODE = b"\xe3c"
"""Type of the marshalled object: code, with and without the flag for references (marshal.c)."""


def is_bytecode(source: Source) -> bool:
    r"""Recognise a module by the magic number that ends in `\r\n` and the code object behind it."""
    head = source.read(0, 17)
    return len(head) == 17 and head[2:4] == b"\r\n" and (head[16] in CODE or head[12] in CODE)
