"""NumPy's .npy files, versions 1 to 3: a literal header, then the array or a pickle.

An array of numbers is data, as many bytes of it as the header says; an array of objects is a
pickle, and so is anything whose type we cannot vouch for. After NumPy's "A simple file format for
NumPy arrays" (NEP 1).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.formats.literal import parse_literal
from casemate.formats.pickle import trace
from casemate.formats.seen import Part, Span, Stream, Trouble

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source

MAGIC = b"\x93NUMPY"
HEADER = 1 << 20
"""Longest header read; NumPy's own limit is 10,000 characters, more only on request."""
_SIMPLE = re.compile(r"[<>|=]?([biufcmMSUV?])(\d{0,9})(\[[^\]]{0,40}\])?")


def is_npy(source: Source) -> bool:
    """Recognise a .npy file by its magic."""
    return source.read(0, 6) == MAGIC


def item_size(descr: object, depth: int = 0) -> int | None:
    """Return the bytes of one item of a type description; None when it can hold objects.

    Raises:
        FormatError: It describes no type.
    """
    if depth > 16:
        raise FormatError("the type is nested too deeply")
    if isinstance(descr, str):
        match = _SIMPLE.fullmatch(descr)
        if match is None:
            return None
        size = int(match[2] or "1")
        return {"U": 4 * size, "m": 8, "M": 8, "?": 1}.get(match[1], size)
    if isinstance(descr, tuple) and len(descr) == 2:
        inner = item_size(descr[0], depth + 1)
        return None if inner is None else inner * _count(descr[1])
    if isinstance(descr, list):
        total = 0
        for field in descr:
            if not isinstance(field, tuple) or len(field) not in {2, 3}:
                raise FormatError("the type has a field that is no field")
            inner = item_size(field[1], depth + 1)
            if inner is None:
                return None
            total += inner * (_count(field[2]) if len(field) == 3 else 1)
        return total
    raise FormatError("the type is described by neither text nor fields")


def _count(shape: object) -> int:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(isinstance(size, int) and 0 <= size < 1 << 62 for size in sizes):
        raise FormatError("the shape is not made of sizes")
    return math.prod(sizes)


def read_header(source: Source, offset: int = 0) -> tuple[int | None, int]:
    """Return how many bytes the array takes (None: a pickle), and where it starts.

    Raises:
        FormatError: The header is not one NumPy would read.
    """
    version = source.read(offset + 6, 1)
    width = 2 if version == b"\x01" else 4
    if version not in {b"\x01", b"\x02", b"\x03"}:
        raise FormatError(f"unknown version {version.hex()} of the .npy format", offset=offset + 6)
    length = int.from_bytes(source.read(offset + 8, width), "little")
    start = offset + 8 + width
    if length > min(HEADER, source.size - start):
        raise FormatError(f"the header claims to be {length:,} bytes long", offset=offset + 8)
    raw = source.read(start, length)
    header = parse_literal(raw.decode("utf-8" if version == b"\x03" else "latin-1", "replace"))
    if not isinstance(header, dict) or not {"descr", "fortran_order", "shape"} <= header.keys():
        raise FormatError("the header lacks descr, fortran_order or shape", offset=start)
    if not isinstance(header["shape"], tuple):
        raise FormatError("the shape is not a tuple", offset=start)
    size = item_size(header["descr"])
    return (None if size is None else size * _count(header["shape"])), start + length


def read(source: Source, budget: Budget) -> Reading:
    """Read a .npy file."""
    budget.spend_time()
    try:
        size, start = read_header(source)
    except FormatError as error:
        yield Trouble(
            "numpy-header-odd", "header", f"the .npy header is odd: {error}", error.offset
        )
        yield Part("bytes behind the magic", source.sub(6, source.size - 6, "npy"), 6, source.size)
        return
    yield Span(0, start, "scanned")
    if size is None:
        traced = trace(source, start)
        yield Stream(traced, start, traced.end)
        end = max(traced.end, start)
    else:
        end = start + size
        if end > source.size:
            said = f"the array has {source.size - start:,} of {size:,} bytes"
            yield Trouble("format-malformed", "npy", said, start)
        yield Span(start, min(end, source.size), "data")
    if end < source.size:
        behind = source.size - end
        # np.load may be called again on the same file, for a second array or a pickle.
        rest = source.sub(end, behind, "behind")
        yield Part("bytes behind the array", rest, end, source.size, outside=True)
