from __future__ import annotations

import io
import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import sagemaker
from casemate.targets.wire.tensor import Message, tensor
from tests.targets.wire.strategies import arrays, only, tables

X = np.array([[1.5, 2.0], [0.0, -3.25]])


@given(tables(), st.sampled_from(get_args(sagemaker.Form)))
def test_sagemaker_round_trip(x: np.ndarray, form: Any) -> None:
    answer = sagemaker.decode_request(sagemaker.encode_request(x, form=form))
    np.testing.assert_array_equal(only(answer).reshape(x.shape), x)
    message = sagemaker.encode_response([tensor("p", x)], form="csv")
    read = only(sagemaker.decode_response(message, len(x)))
    np.testing.assert_array_equal(read.reshape(x.shape), x)


@given(st.sampled_from(["BOOL", "UINT8", "INT64", "UINT64", "FP16", "FP32", "FP64"]), st.data())
def test_npy_is_numpys_own(datatype: str, data: st.DataObject) -> None:
    x = data.draw(arrays(datatype))
    message = sagemaker.encode_request(x, form="npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(message.body), allow_pickle=False), x)
    out = io.BytesIO()
    np.save(out, np.asfortranarray(x))
    read = sagemaker.read_npy(out.getvalue())
    assert read.dtype == x.dtype
    np.testing.assert_array_equal(read, x)


def test_what_is_written() -> None:
    def said(message: Message) -> Any:
        return json.loads(message.body)

    rows = X.tolist()
    assert sagemaker.encode_request(X).body == b"1.5,2.0\n0.0,-3.25\n"
    assert said(sagemaker.encode_request(X, form="features")) == {
        "instances": [{"features": rows[0]}, {"features": rows[1]}]
    }
    assert said(sagemaker.encode_request(X, form="list")) == rows
    with pytest.raises(FormatError, match="rows of columns"):
        sagemaker.encode_request(np.zeros((2, 2, 2)))
    with pytest.raises(FormatError, match="not numeric"):
        sagemaker.encode_request(np.array([["a"]]), form="list")
    with pytest.raises(FormatError, match="not numeric"):
        sagemaker.encode_request(np.array([["a"]]), form="npy")


@pytest.mark.parametrize(
    ("body", "kind", "n", "expected"),
    [
        (b"0.5\n0.25\n", "text/csv", 2, [0.5, 0.25]),
        (b"1\n0", "text/csv", 2, [1, 0]),
        (b"0.5,0.25", "text/csv", 2, [0.5, 0.25]),
        (b"0.5,0.5", "text/csv", 1, [[0.5, 0.5]]),
        (b"0.1,0.9\r\n0.2,0.8\r\n", "text/csv", 2, [[0.1, 0.9], [0.2, 0.8]]),
        (b"[[1, 2]]", "application/json", 1, [[1, 2]]),
        (b'{"predictions": [0.5]}', "application/json", 1, [0.5]),
        (b'{"probabilities": [[0.5]]}', "text/plain", 1, [[0.5]]),
        (b'{"score": 1}\n{"score": 2}\n', "application/jsonlines", 2, [1, 2]),
    ],
)
def test_sagemaker_answers(body: bytes, kind: str, n: int, expected: object) -> None:
    assert only(sagemaker.decode_response(Message(body, kind), n)).tolist() == expected


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda b: b[:9], "not an npy"),
        (lambda b: b.replace(b"<f8", b"|O8"), "header of another form"),
        (lambda b: b.replace(b"<f8", b"<f1"), "unknown dtype"),
        (lambda b: b.replace(b"(2, 2)", b"(2, 3)"), "32 bytes for"),
        (lambda b: b.replace(b"(2, 2)", b"(-2,2)"), "header of another form"),
        (lambda b: b.replace(b"'shape': (2, 2), }", b"'shape':(9999999,)}"), "header|bytes for"),
        (lambda b: b[:8] + b"\xff\xff" + b[10:], "runs past"),
        (lambda b: b + b"x", "33 bytes"),
        (lambda b: b.replace(b"{", b"("), "header of another form"),
    ],
)
def test_npy_that_is_none(change: Any, text: str) -> None:
    out = io.BytesIO()
    np.save(out, X)
    with pytest.raises(FormatError, match=text):
        sagemaker.read_npy(change(out.getvalue()))
