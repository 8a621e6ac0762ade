from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import oip
from casemate.targets.wire.tensor import Message, Tensor, Text, tensor
from tests.targets.wire.strategies import same, tensors


@given(tensors(), st.booleans())
def test_round_trip(given: list[Tensor], binary: bool) -> None:
    same(given, oip.decode_request(oip.encode_request(given, binary=binary)).tensors)
    same(given, oip.decode_response(oip.encode_response("m", given, binary=binary)).tensors)


def test_the_specification_s_own_example() -> None:
    """The binary example of the extension: two inputs, 19 bytes after the head."""
    head = (
        b'{"model_name":"mymodel","inputs":[{"name":"input0","shape":[2,2],"datatype":"UINT32",'
        b'"parameters":{"binary_data_size":16}},{"name":"input1","shape":[3],"datatype":"BOOL",'
        b'"parameters":{"binary_data_size":3}}],"outputs":[{"name":"output0",'
        b'"parameters":{"binary_data":true}}]}'
    )
    body = head + np.arange(4, dtype="<u4").tobytes() + b"\x01\x00\x01"
    message = Message(body, oip.BINARY, {oip.HEAD: str(len(head))})
    first, second = oip.decode_request(message).tensors
    assert first.array.tolist() == [[0, 1], [2, 3]]
    assert second.array.tolist() == [True, False, True]


def test_what_is_written() -> None:
    message = oip.encode_request([tensor("x", np.ones((1, 2), np.float32))], outputs=["p"])
    assert json.loads(message.body) == {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 1.0]}],
        "outputs": [{"name": "p"}],
    }
    message = oip.encode_request([tensor("x", np.ones(2, np.float16))], outputs=["p"], binary=True)
    length = int(message.headers["inference-header-content-length"])
    assert message.body[length:] == b"\x00\x3c\x00\x3c"
    assert json.loads(message.body[:length]) == {
        "inputs": [
            {
                "name": "x",
                "shape": [2],
                "datatype": "FP16",
                "parameters": {"binary_data_size": 4},
            }
        ],
        "outputs": [{"name": "p", "parameters": {"binary_data": True}}],
    }


def test_nested_data_and_text_outputs() -> None:
    body = json.dumps(
        {
            "outputs": [
                {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]},
                {"name": "p", "shape": [2, 1], "datatype": "FP32", "data": [[1], [2.5]]},
            ],
            "model_name": "m",
            "parameters": {"anything": {"goes": []}},
        }
    ).encode()
    answer = oip.decode_response(Message(body, oip.JSON))
    assert answer.texts == (Text("t", ("a", "b")),)
    assert answer.tensors[0].array.tolist() == [[1.0], [2.5]]
    head = (
        b'{"outputs":[{"name":"t","shape":[2],"datatype":"BYTES",'
        b'"parameters":{"binary_data_size":11}}]}'
    )
    raw = head + b"\x01\0\0\0a\x02\0\0\0bc"
    answer = oip.decode_response(Message(raw, oip.BINARY, {oip.HEAD: str(len(head))}))
    assert answer.texts == (Text("t", ("a", "bc")),)


def out(shape: object, datatype: str, data: object, **more: object) -> bytes:
    one = {"name": "o", "shape": shape, "datatype": datatype, "data": data, **more}
    return json.dumps({"outputs": [one]}).encode()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (out([-1, 2], "FP32", [1, 2]), "negative length"),
        (out([2**62, 2**62], "FP32", []), "over the limit"),
        (out([0, 2**62], "FP32", []), "over the limit"),
        (out([1] * 9, "FP32", [1]), "9 dimensions"),
        (out([2**70], "FP32", []), "out of range|not JSON|limit"),
        (out([2], "FP32", [1, 2, 3]), "3 numbers for the shape"),
        (out([2], "FP32", [[1], [2, 3]]), "unequal length"),
        (out([1], "FP32", ["1"]), "str"),
        (out([1], "FP32", [None]), "null"),
        (out([1], "FP32", {"a": 1}), "object"),
        (out([1], "INT32", [1.5]), "fractions"),
        (out([1], "UINT8", [256]), "does not fit UINT8"),
        (out([1], "INT8", [-129]), "does not fit INT8"),
        (out([1], "INT64", [2**64]), "64 bits|does not fit|fractions"),
        (out([1], "FP32", [10**400]), "range|64 bits"),
        (out([1], "COMPLEX", [1]), "not a known datatype"),
        (out([2], "BYTES", ["a"]), "1 strings for the shape"),
        (out([1], "BYTES", [1]), "str"),
        (out([1], "FP32", [1], parameters={"binary_data_size": 4}), "does not have"),
        (out([1], "FP32", [1], parameters={"binary_data_size": -4}), "does not have"),
        (b'{"outputs": [{"name": "o", "shape": [1], "datatype": "FP32"}]}', "no data"),
        (b'{"outputs": 3}', "array"),
        (b"{}", "outputs"),
        (b'{"outputs": ' + b"[" * 100000, "nested|malformed|object"),
    ],
)
def test_refusals(body: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        oip.decode_response(Message(body, oip.JSON))


@pytest.mark.parametrize(
    ("length", "text"),
    [("999", "says 999 bytes"), ("-1", "not a length"), ("1" * 30, "not a length"), ("²", "not a")],
)
def test_head_lengths(length: str, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        oip.decode_response(Message(b"{}", oip.BINARY, {oip.HEAD: length}))


def test_bytes_left_over() -> None:
    message = oip.encode_response("m", [tensor("o", np.ones(2))], binary=True)
    with pytest.raises(FormatError, match="1 bytes after the last tensor"):
        oip.decode_response(message._replace(body=message.body + b"x"))


def test_too_many_tensors() -> None:
    one = {"name": "o", "shape": [1], "datatype": "FP32", "data": [1]}
    body = json.dumps({"outputs": [one] * 257}).encode()
    with pytest.raises(LimitExceeded, match="257 tensors"):
        oip.decode_response(Message(body, oip.JSON))


def test_what_cannot_be_written() -> None:
    with pytest.raises(FormatError, match="not numbers"):
        oip.encode_request([Tensor("x", np.array(["a"]), "BYTES")])
    with pytest.raises(FormatError, match="not numeric"):
        oip.encode_request([Tensor("x", np.array(["a"], object), "FP32")])
    with pytest.raises(FormatError, match="NaN or infinity"):
        oip.encode_request([tensor("x", np.array([np.nan]))])
    with pytest.raises(FormatError, match="does not fit"):
        oip.encode_request([Tensor("x", np.array([300.0]), "UINT8")])
    assert oip.encode_request([tensor("x", np.array([np.nan]))], binary=True)


def test_metadata() -> None:
    body = json.dumps(
        {
            "name": "m",
            "versions": ["1"],
            "platform": "p",
            "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4], "parameters": {}}],
            "outputs": [],
        }
    ).encode()
    found = oip.decode_metadata(body)
    assert found.inputs == (("x", "FP32", (-1, 4)),)
    assert oip.decode_metadata(b'{"name": "m"}').inputs == ()
    with pytest.raises(FormatError):
        oip.decode_metadata(b"[]")
