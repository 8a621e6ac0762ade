from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import protobuf


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_packed_varints(values: list[int]) -> None:
    packed = b"".join(map(protobuf.varint, values))
    assert protobuf.packed_varints(packed).tolist() == values
    assert packed == protobuf.pack_varints(np.array(values, np.uint64))


@given(st.integers(-(2**63), 2**63 - 1))
def test_varints(value: int) -> None:
    raw = protobuf.varint(value)
    read, end = protobuf.read_varint(memoryview(raw), 0)
    assert (protobuf.signed(read), end) == (value, len(raw))


def test_fields() -> None:
    body = protobuf.field(1, "name") + protobuf.field(2, 300) + b"\x1d\x00\x00\x80\x3f"
    found = [(n, k, v, bytes(b)) for n, k, v, b in protobuf.fields(body)]
    assert found == [
        (1, protobuf.BYTES, 0, b"name"),
        (2, protobuf.VARINT, 300, b""),
        (3, protobuf.FIXED32, 0, b"\x00\x00\x80\x3f"),
    ]


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x02a", b"\x0d\x00", b"\x0c", b"\x80", b"\x00"])
def test_cut_off(body: bytes) -> None:
    with pytest.raises(FormatError):
        list(protobuf.fields(body))


@pytest.mark.parametrize("packed", [b"\x80", b"\x01\xff", b"\xff" * 10 + b"\x01"])
def test_packed_cut_off(packed: bytes) -> None:
    with pytest.raises(FormatError):
        protobuf.packed_varints(packed)
