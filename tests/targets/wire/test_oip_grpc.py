"""The hand-written gRPC messages against Google's own runtime, given the same field numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import oip_grpc, protobuf
from casemate.targets.wire.tensor import Metadata, Spec, Tensor, Text, tensor
from tests.targets.wire.messages import GOOGLE
from tests.targets.wire.strategies import same, tensors

ONLY_RAW = ("FP16", "BF16")
FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


@given(tensors(), st.sampled_from(["", "3"]))
def test_raw_round_trip(given: list[Tensor], version: str) -> None:
    body = oip_grpc.encode_request("m", given, version=version, outputs=["p", "q"])
    same(given, oip_grpc.decode_request(body).tensors)
    same(given, oip_grpc.decode_response(oip_grpc.encode_response("m", given)).tensors)
    read = GOOGLE["Request"].FromString(body)
    assert (read.model_name, read.model_version) == ("m", version)
    assert [one.name for one in read.outputs] == ["p", "q"]
    assert [list(one.shape) for one in read.inputs] == [list(t.array.shape) for t in given]
    assert len(read.raw_input_contents) == len(given)


@given(tensors(without=ONLY_RAW))
def test_typed_round_trip(given: list[Tensor]) -> None:
    body = oip_grpc.encode_request("m", given, raw=False)
    same(given, oip_grpc.decode_request(body).tensors)
    for one, theirs in zip(given, GOOGLE["Request"].FromString(body).inputs, strict=True):
        assert list(getattr(theirs.contents, FIELDS[one.datatype])) == one.array.ravel().tolist()


@given(tensors(without=ONLY_RAW))
def test_what_google_writes_is_read(given: list[Tensor]) -> None:
    response = GOOGLE["Response"](model_name="m", model_version="1", id="x")
    for one in given:
        made = response.outputs.add(name=one.name, datatype=one.datatype, shape=one.array.shape)
        getattr(made.contents, FIELDS[one.datatype]).extend(one.array.ravel().tolist())
    same(given, oip_grpc.decode_response(response.SerializeToString()).tensors)


def test_unpacked_numbers_are_read() -> None:
    contents = b"".join(protobuf.varint(3 << 3) + protobuf.varint(v) for v in (5, -7, 2**40))
    head = oip_grpc._head("o", "INT64", (3,)) + protobuf.field(5, contents)
    (found,) = oip_grpc.decode_response(protobuf.field(5, head)).tensors
    assert found.array.tolist() == [5, -7, 2**40]


def test_text() -> None:
    response = GOOGLE["Response"]()
    made = response.outputs.add(name="t", datatype="BYTES", shape=[2])
    made.contents.bytes_contents.extend([b"a", b"\xff"])
    answer = oip_grpc.decode_response(response.SerializeToString())
    assert answer.texts == (Text("t", ("a", "\ufffd")),)
    response.outputs[0].ClearField("contents")
    response.raw_output_contents.append(b"\x01\0\0\0a\0\0\0\0")
    answer = oip_grpc.decode_response(response.SerializeToString())
    assert answer.texts == (Text("t", ("a", "")),)


def test_metadata() -> None:
    theirs = GOOGLE["Model"](name="m", versions=["1"], platform="p")
    theirs.inputs.add(name="x", datatype="FP32", shape=[-1, 4])
    theirs.outputs.add(name="p", datatype="FP64", shape=[])
    expected = Metadata("m", (Spec("x", "FP32", (-1, 4)),), (Spec("p", "FP64", None),))
    assert oip_grpc.decode_metadata(theirs.SerializeToString()) == expected
    assert oip_grpc.decode_metadata(oip_grpc.encode_metadata(expected)) == expected
    read = GOOGLE["Model"].FromString(oip_grpc.encode_metadata(expected))
    assert list(read.inputs[0].shape) == [-1, 4]
    assert oip_grpc.encode_metadata_request("m", "2") == b"\n\x01m\x12\x012"


def response(
    shape: tuple[int, ...], datatype: str, contents: bytes = b"", raw: Any = None
) -> bytes:
    head = oip_grpc._head("o", datatype, shape)
    body = protobuf.field(5, head + (protobuf.field(5, contents) if contents else b""))
    return body + (b"" if raw is None else protobuf.field(6, raw))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (response((-1,), "FP32", raw=b""), "negative length"),
        (response((2**62, 2**62), "FP32", raw=b""), "over the limit"),
        (response((1,) * 9, "FP32", raw=b"0000"), "more than 8 dimensions"),
        (response((2,), "FP32", raw=b"0000"), "4 bytes for FP32"),
        (response((2,), "FP32", protobuf.field(6, b"0000")), "1 numbers where"),
        (response((1,), "FP32", protobuf.field(6, b"00000")), "within a number"),
        (response((1,), "FP32", protobuf.field(7, b"00000000")), "another type"),
        (response((1,), "FP16", protobuf.field(6, b"0000")), "outside raw"),
        (response((1,), "INT8", protobuf.field(2, 300)), "does not fit"),
        (response((1,), "COMPLEX", raw=b"0000"), "not a known datatype"),
        (response((1,), "BYTES", raw=b"\xff\xff\xff\xff"), "past the end"),
        (response((2**21,), "BYTES", raw=b""), "strings"),
        (response((1,), "FP32") + protobuf.field(6, b"0000") * 2, "2 raw contents for 1"),
        (b"\x2a\xff", "past the end"),
        (b"\x2a" + b"\xff" * 10, "ten bytes"),
        (b"\x2b", "wire type 3"),
        (b"\x00\x00", "field number 0"),
        (protobuf.field(5, protobuf.field(1, b"\xff")), "UTF-8"),
    ],
)
def test_refusals(body: bytes, text: str) -> None:
    with pytest.raises(FormatError, match=text):
        oip_grpc.decode_response(body)


def test_too_many() -> None:
    with pytest.raises(LimitExceeded):
        oip_grpc.decode_response(protobuf.field(5, b"") * 300)
    with pytest.raises(LimitExceeded):
        oip_grpc.decode_metadata(protobuf.field(4, b"") * 300)
    with pytest.raises(FormatError, match="only travels in raw"):
        oip_grpc.encode_request("m", [tensor("x", np.ones(1, np.float16))], raw=False)
