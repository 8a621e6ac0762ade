"""IDX arrays are known by sizes that give exactly the length of the file."""

import struct

import pytest

from casemate.formats.idx import is_idx
from casemate.formats.source import BytesSource


def idx(shape, kind=0x08, body=None):
    size = 1
    for side in shape:
        size *= side
    head = struct.pack(">HBB", 0, kind, len(shape)) + struct.pack(f">{len(shape)}I", *shape)
    return head + (bytes(size) if body is None else body)


@pytest.mark.parametrize("shape", [(5,), (3, 28, 28), (0,)])
def test_an_array_is_recognised(shape):
    assert is_idx(BytesSource(idx(shape)))


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\x08", idx((5,))[:-1], idx((5,)) + b"\0", idx((5,), kind=0x0D), b"\0\0\x08\0abc"],
)
def test_anything_else_is_not(data):
    assert not is_idx(BytesSource(data))
