from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import numbers
from tests.targets.wire.strategies import arrays


@given(st.sampled_from(["BOOL", "INT64", "UINT64", "FP64"]), st.data())
def test_round_trip(datatype: str, data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), min_size=0, max_size=4).map(tuple))
    x = data.draw(arrays(datatype, shape))
    read = numbers.array(numbers.dump(numbers.lists(x)))
    assert read.shape == x.shape
    assert read.tolist() == x.tolist()


def test_large_whole_numbers_are_not_rounded() -> None:
    read = numbers.array(b"[[0], [9223372036854775809]]")
    assert read.dtype == np.uint64
    assert read.tolist() == [[0], [9223372036854775809]]
    assert numbers.array(b"[0.5, 9223372036854775809]").dtype == np.float64


def test_strings() -> None:
    assert numbers.strings(b'"a"') == ("a",)
    assert numbers.strings(b'[["a"], ["b"]]') == ("a", "b")
    assert numbers.opening(b' [["a"]]') == b'"'
    assert numbers.opening(b"") == b""
    assert numbers.depth(b" [\n[1]]") == 2
    with pytest.raises(LimitExceeded, match="strings"):
        numbers.strings(b"[" + b'"",' * (1 << 20) + b'""]')


@pytest.mark.parametrize(
    ("values", "text"),
    [(np.array([np.nan]), "NaN"), (np.array([np.inf]), "NaN"), (np.array(["a"]), "not numeric")],
)
def test_what_json_cannot_say(values: np.ndarray, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        numbers.lists(values)
