from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import template
from casemate.targets.wire.tensor import Message
from tests.targets.wire.strategies import only, stacked, tables

X = np.array([[1.5, 2.0], [0.0, -3.25]])


@given(tables())
def test_template_round_trip(x: np.ndarray) -> None:
    form = template.read(b'{"a": [{"rows": "$inputs"}], "b": "kept"}')
    message = template.encode_request(form, x)
    np.testing.assert_array_equal(only(template.decode_response(message, "a[0].rows")), x)
    form = template.read(b'{"row": ["$record"]}')
    columns = [f"c{i}" for i in range(x.shape[1])]
    for row in x:
        message = template.encode_request(form, row[None], columns=columns)
        answer = template.decode_response(message, "row[*]")
        np.testing.assert_array_equal(stacked(answer)[0], row)


@pytest.mark.parametrize(
    "text",
    [b"{", b"[]", b'"no"', b'{"a": "$input", "b": "$inputs"}', b"\xff", b"[" * 9999],
)
def test_templates_that_are_none(text: bytes) -> None:
    with pytest.raises(FormatError):
        template.read(text)


def test_deep_templates() -> None:
    with pytest.raises(LimitExceeded):
        template.read(b"[" * 50 + b'"$inputs"' + b"]" * 50)


def test_paths() -> None:
    assert template.steps("") == ()
    assert template.steps("a.b[0][*].c d") == ("a", "b", 0, "*", "c d")
    message = Message(b'{"a": [{"p": 1}, {"p": 2}]}', "application/json")
    assert only(template.decode_response(message, "a[*].p")).tolist() == [1, 2]
    assert only(template.decode_response(message, "a[1].p")).tolist() == 2


@pytest.mark.parametrize("path", ["a..b", "a[", "a[x]", "[-1]", ".".join("a" * 40), "a[9999999]"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(FormatError, match="not a path"):
        template.steps(path)


@pytest.mark.parametrize("path", ["b", "a[3]", "a.b", "a[0][0]", "a[0].x"])
def test_answers_with_nothing_there(path: str) -> None:
    with pytest.raises(FormatError):
        template.decode_response(Message(b'{"a": [1, 2]}', "application/json"), path)


def test_what_cannot_be_written() -> None:
    with pytest.raises(FormatError, match="one"):
        template.encode_request(template.read(b'["$input"]'), X)
    with pytest.raises(FormatError, match="column names"):
        template.encode_request(template.read(b'["$records"]'), X, columns=["a"])
