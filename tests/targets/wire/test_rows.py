from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import rows
from casemate.targets.wire.tensor import Text
from tests.targets.wire.strategies import only, tables


@given(tables())
def test_round_trip(x: np.ndarray) -> None:
    np.testing.assert_array_equal(only(rows.decode(rows.encode(x))).reshape(x.shape), x)


@pytest.mark.parametrize("body", [b"1,2\n3", b"1,a", b"\xff", b"a,b\nc,d", b"1_0,2", b"1,\n2,3"])
def test_csv_that_is_none(body: bytes) -> None:
    with pytest.raises(FormatError):
        rows.decode(body)


def test_csv_of_names() -> None:
    assert rows.decode(b'"cat"\ndog\n').texts == (Text("predictions", ("cat", "dog")),)
    assert rows.decode(b"").tensors[0].array.size == 0
    assert only(rows.decode(b"9" * 30)).tolist() == [1e30]


def test_limits_and_refusals() -> None:
    with pytest.raises(LimitExceeded, match="columns"):
        rows.decode(b"1" + b",1" * (1 << 20))
    with pytest.raises(FormatError, match="NaN"):
        rows.encode(np.array([[np.inf]]))
    mixed = np.array([[1, "a,b"], [2.5, "c"]], dtype=object)
    assert rows.encode(mixed) == b'1,"a,b"\n2.5,c\n'
