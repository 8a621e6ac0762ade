from __future__ import annotations

import numpy as np

from casemate.targets.encoding import Encoding, decode, decode_all


def test_each_type_comes_back() -> None:
    column = np.array([0.0, 1.0, 1.0])
    assert decode(column, Encoding("a", "float")) is column
    assert decode(column, Encoding("a", "integer")).dtype == np.int64
    assert decode(column, Encoding("a", "boolean")).tolist() == [False, True, True]
    strings = decode(column, Encoding("a", "string", ("x", "y")))
    assert strings.tolist() == ["x", "y", "y"]
    assert strings.dtype == object


def test_codes_beyond_the_table_are_the_nearest() -> None:
    column = np.array([-1.0, 0.4, 7.0])
    assert decode(column, Encoding("a", "string", ("x", "y"))).tolist() == ["x", "x", "y"]


def test_numbers_alone_stay_an_array_of_floats() -> None:
    x = np.ones((2, 2))
    assert decode_all(x, [Encoding("a", "float"), Encoding("b", "integer")]) is x
    mixed = decode_all(x, [Encoding("a", "float"), Encoding("b", "string", ("x", "y"))])
    assert mixed.tolist() == [[1.0, "y"], [1.0, "y"]]
