"""ONNX files are recognised and walked without the onnx package; agreement is checked with it."""

import io

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.formats.budget import Budget
from casemate.formats.onnx import is_onnx, read
from casemate.formats.seen import Span, Trouble
from casemate.formats.source import BytesSource
from casemate.formats.wire import fields
from tests.corpus.models import real_onnx
from tests.corpus.protobuf import field, graph, model, node, tensor, varint


def walk(data):
    seen = list(read(BytesSource(data), Budget(len(data))))
    return [s for s in seen if isinstance(s, Trouble)], [s for s in seen if isinstance(s, Span)]


def test_a_model_of_the_onnx_package():
    data = real_onnx()
    assert is_onnx(BytesSource(data))
    troubles, spans = walk(data)
    assert troubles == []
    assert sum(span.end - span.start for span in spans) == len(data)


def test_every_kind_of_tensor_has_the_size_we_think():
    import onnx
    from onnx import helper

    tensors = [
        onnx.numpy_helper.from_array(np.zeros((3, 2), dtype), dtype)
        for dtype in (
            "f2",
            "f4",
            "f8",
            "i1",
            "i2",
            "i4",
            "i8",
            "u1",
            "u2",
            "u4",
            "u8",
            "?",
            "c8",
            "c16",
        )
    ]
    tensors += [
        helper.make_tensor(str(kind), kind, [4], bytes(4), raw=True) for kind in (17, 18, 19, 20)
    ]
    out = io.BytesIO()
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], tensors)), out)
    troubles, spans = walk(out.getvalue())
    assert troubles == []
    assert sum(s.end - s.start for s in spans if s.state == "data") == sum(
        len(t.raw_data) for t in tensors
    )


def test_weights_are_data_and_the_rest_is_scanned():
    raw = bytes(4000)
    _, spans = walk(model(graph([node()], [tensor(dims=(1000,), raw=raw)])))
    assert sum(s.end - s.start for s in spans if s.state == "data") == 4000


def test_subgraphs_are_bounded():
    inner = graph([node()])
    for _ in range(80):
        inner = graph([node("If", attributes=[field(1, "b") + field(6, inner)])])
    troubles, spans = walk(model(inner))
    assert [trouble.rule for trouble in troubles] == ["format-malformed"]
    assert spans[-1].state == "scanned" or any(span.state == "refused" for span in spans)


def test_dimensions_beyond_reason():
    troubles, _ = walk(model(graph([], [tensor(dims=(1 << 62, 1 << 62))])))
    assert [trouble.rule for trouble in troubles] == ["onnx-tensor-size-wrong"]


@pytest.mark.parametrize(
    "data",
    [b"", b"\x08", b"text is not a model", bytes(50), b"\x08\x08" + b"\x12\x05", b"\x0a\x03abc"],
)
def test_other_bytes_are_no_model(data):
    assert not is_onnx(BytesSource(data))


@pytest.mark.parametrize(
    "data",
    [b"\x0a\x7f", b"\x0b", b"\x00\x01", b"\x08" + b"\xff" * 11, b"\x0d\x01", b"\xff" * 12, b"\x0a"],
)
def test_broken_messages_are_refused(data):
    with pytest.raises(FormatError):
        list(fields(BytesSource(data)))


def test_fields_agree_with_what_was_written():
    data = (
        field(1, 300)
        + field(2, "text")
        + b"\x1d\x01\x02\x03\x04"
        + field(4, bytes(100_000))
        + field(900, 1)
    )
    got = list(fields(BytesSource(data)))
    assert [(f.number, f.value) for f in got] == [
        (1, 300),
        (2, 4),
        (3, 0x04030201),
        (4, 100_000),
        (900, 1),
    ]
    assert got[-1].end == len(data)
    assert varint(300) == b"\xac\x02"
