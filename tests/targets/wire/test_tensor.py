from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import tensor as wire
from tests.targets.wire.strategies import DATATYPES, arrays


@given(st.sampled_from(DATATYPES), st.data())
def test_raw_round_trip(datatype: str, data: st.DataObject) -> None:
    x = data.draw(arrays(datatype))
    raw = wire.to_raw(wire.Tensor("x", x, datatype))
    assert len(raw) == x.size * wire.WIDTH[datatype]
    np.testing.assert_array_equal(wire.from_raw(raw, datatype, x.shape), x)


@given(st.floats(allow_infinity=False, allow_nan=False, width=32))
def test_bf16_rounds_to_the_nearest(value: float) -> None:
    x = np.array([value], np.float32)
    raw = wire.to_raw(wire.Tensor("x", x, "BF16"))
    (read,) = wire.from_raw(raw, "BF16", (1,))
    below = (x.view("<u4") & np.uint32(0xFFFF0000)).view("<f4")[0]
    above = ((x.view("<u4") & np.uint32(0xFFFF0000)) + np.uint32(0x10000)).view("<f4")[0]
    assert read in (below, above)
    if np.isfinite(above):
        assert abs(float(read) - value) <= min(abs(float(below) - value), abs(float(above) - value))


def test_bf16_keeps_nan_and_infinity() -> None:
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    read = wire.from_raw(wire.to_raw(wire.Tensor("x", x, "BF16")), "BF16", (3,))
    np.testing.assert_array_equal(read, x)


@pytest.mark.parametrize(
    ("array", "datatype", "text"),
    [
        (np.array([256.0]), "UINT8", "does not fit"),
        (np.array([-1]), "UINT64", "does not fit"),
        (np.array([np.nan]), "INT8", "NaN"),
        (np.array(["a"]), "FP32", "not numeric"),
        (np.array([1j]), "FP32", "not numeric"),
        (np.array([1]), "BYTES", "text, not numbers"),
        (np.array([1]), "FP8", "not a known"),
    ],
)
def test_what_cannot_be_cast(array: np.ndarray, datatype: str, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        wire.cast_to(array, datatype)


def test_casts_round() -> None:
    assert wire.cast_to(np.array([0.6, 254.7]), "UINT8").tolist() == [1, 255]
    assert wire.cast_to(np.array([0.1]), "FP32").dtype == np.float32
    assert wire.datatype_of(">f4") == "FP32"
    with pytest.raises(FormatError, match="not a numeric datatype"):
        wire.datatype_of(object)


@pytest.mark.parametrize("shape", [(1,) * 9, (2**29,), (2**20, 2**20), (0, 2**40)])
def test_shapes_out_of_bounds(shape: tuple[int, ...]) -> None:
    with pytest.raises(LimitExceeded):
        wire.count(shape)


def test_strings() -> None:
    assert wire.strings_from_raw(b"\x01\0\0\0a\0\0\0\0", 2) == ("a", "")
    for raw, total in ((b"\x01\0\0\0a", 2), (b"\x02\0\0\0a", 1), (b"\x01\0\0\0ab", 1)):
        with pytest.raises(FormatError):
            wire.strings_from_raw(raw, total)
    with pytest.raises(LimitExceeded):
        wire.strings_from_raw(b"", 1 << 21)
