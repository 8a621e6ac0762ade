"""IDX arrays, the format MNIST is published in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.formats.source import Source

ITEM = {0x08: 1, 0x09: 1, 0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}


def is_idx(source: Source) -> bool:
    """Recognise an array by its type and sizes, when they give exactly the file's length."""
    head = source.read(0, 4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in ITEM or not 0 < head[3] < 9:
        return False
    raw = source.read(4, 4 * head[3])
    sizes = [int.from_bytes(raw[at : at + 4], "big") for at in range(0, len(raw), 4)]
    return source.size == 4 + 4 * head[3] + math.prod(sizes) * ITEM[head[2]]
