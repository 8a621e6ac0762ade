"""Safetensors: a length, a JSON header, then tensors that tile the rest of the file.

After the format's own rules (github.com/huggingface/safetensors, README, "Format"): offsets start
at 0, leave no hole and do not overlap, keys are unique, `__metadata__` maps text to text.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import TYPE_CHECKING

from casemate.formats.seen import Part, Span, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading, Seen
    from casemate.formats.source import Source

LONGEST = 100_000_000
"""The format's own bound on the header."""
PARSED = 8 << 20
"""Headers up to this size are read; that is some 60,000 tensors."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def is_safetensors(source: Source) -> bool:
    """Recognise the format by a length that could be one and a header that starts as JSON."""
    head = source.read(0, 48)
    if len(head) < 10 or head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    printable = head[:8].isascii() and b"\0" not in head[:8]
    if printable or head[9:].lstrip()[:1] not in {b'"', b"}"}:
        return False
    # A length beyond the file is a violation to report, one beyond reason is another format.
    return length <= max(LONGEST, 2 * source.size) or b"dtype" in source.read(8, 4096)


class _Keys:
    """Collects the keys that stand twice in one JSON object."""

    def __init__(self) -> None:
        self.twice: list[str] = []

    def build(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    self.twice.append(key)
                seen.add(key)
        return found


def read(source: Source, budget: Budget) -> Reading:
    """Read the header and check every rule of the format; tensors are data."""
    length = int.from_bytes(source.read(0, 8), "little")
    start = 8 + length
    yield Span(0, 8, "scanned")
    if length > LONGEST or start > source.size:
        said = f"the header claims {length:,} bytes of a file of {source.size:,}"
        yield Trouble("safetensors-header-invalid", "length", said, 0)
        yield Span(8, source.size, "refused", "the header's length is wrong")
        return
    if length > PARSED:
        said = f"the header of {length:,} bytes is longer than casemate reads ({PARSED:,})"
        yield Trouble("scan-incomplete", "safetensors header", said, 0)
        yield Span(8, source.size, "refused", "the header is too long to read")
        return
    keys = _Keys()
    try:
        header = json.loads(source.read(8, length).decode(), object_pairs_hook=keys.build)
    except (ValueError, RecursionError) as error:
        said = f"the header is not JSON: {type(error).__name__}"
        yield Trouble("safetensors-header-invalid", "json", said, 8)
        yield Span(8, source.size, "refused", "the header cannot be read")
        return
    budget.spend_time()
    yield Span(8, start, "scanned")
    for key in dict.fromkeys(keys.twice):
        said = f"'{key[:200]}' stands twice in the header: which one is used depends on the reader"
        yield Trouble("safetensors-duplicate-key", key[:200], said, 8)
    if not isinstance(header, dict):
        yield Trouble("safetensors-header-invalid", "json", "the header is not an object", 8)
        yield Span(start, source.size, "refused", "the header cannot be read")
        return
    yield from _metadata(header.pop("__metadata__", None))
    yield from _tensors(source, header, start)


def _metadata(metadata: object) -> Iterator[Seen]:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        said = "__metadata__ holds something other than text"
        yield Trouble("safetensors-header-invalid", "metadata", said, 8)


def _place(entry: object, room: int) -> tuple[int, int] | str:
    """Return where a tensor lies, or what is wrong with its entry."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return "has other keys than dtype, shape and data_offsets"
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = BITS.get(dtype) if isinstance(dtype, str) else None
    if not isinstance(shape, list) or not all(
        type(size) is int and 0 <= size < 1 << 63 for size in shape
    ):
        return "has a shape that is not made of sizes"
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(offset) is int for offset in offsets)
        or not 0 <= offsets[0] <= offsets[1] <= room
    ):
        return "lies outside the file"
    if bits is None:
        return f"has the unknown type {str(dtype)[:40]!r}"
    if math.prod(shape) * bits != 8 * (offsets[1] - offsets[0]):
        return "has another size than its type and shape need"
    return offsets[0], offsets[1]


def _tensors(source: Source, header: dict[str, object], start: int) -> Iterator[Seen]:
    room = source.size - start
    places: list[tuple[int, int, str]] = []
    for name, entry in header.items():
        place = _place(entry, room)
        if isinstance(place, str):
            said = f"tensor '{name[:200]}' {place}"
            yield Trouble("safetensors-header-invalid", name[:200], said, 8)
        else:
            places.append((*place, name))
    places.sort()
    for (_, end, first), (begin, _, second) in pairwise(places):
        if begin < end:
            said = f"tensors '{first[:100]}' and '{second[:100]}' overlap"
            yield Trouble("safetensors-tensors-overlap", second[:200], said, start + begin)
    position = 0
    for begin, end, _ in [*places, (room, room, "")]:
        if begin > position:
            said = f"{begin - position:,} bytes belong to no tensor"
            yield Trouble("safetensors-hidden-data", f"at {position}", said, start + position)
            low, high = start + position, start + begin
            hole = source.sub(low, high - low, "hole")
            yield Part("bytes of no tensor", hole, low, high, opaque=True)
        position = max(position, end)
    for begin, end, _ in places:
        yield Span(start + begin, start + end, "data")
