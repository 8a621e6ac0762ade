"""Mutations of what callers and upstreams say: the guard reads, or serves and says that it did not.

The number of mutations is `CASEMATE_FUZZ`, 30,000 when it is not set; the seed is fixed, and a
failure prints the body that made it.
"""

from __future__ import annotations

import gzip
import json
import zlib

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.guard.bodies import plain
from casemate.guard.call import Reply
from casemate.guard.strict import refuse_doubles
from casemate.targets.wire import (
    chat,
    fused,
    mlflow,
    oip,
    oip_grpc,
    rows,
    sagemaker,
    tfserving,
)
from casemate.targets.wire.hollow import hollow
from casemate.targets.wire.tensor import Message, Tensor, tensor
from tests.fuzz.test_wire import MUTATIONS, mutations
from tests.guard.test_protocols import framed
from tests.guard.traffic import AT, Judge, call, enforcing, guard

X = np.array([[1.5, 2.0], [3.0, -4.25]])
P = np.array([[0.26, 0.74], [0.5, 0.5]])
PARTS = [tensor("p", P), Tensor("l", np.array([1, 0], np.int64), "INT64")]
GRPC = "/inference.GRPCInferenceService/ModelInfer"
SPLIT = {"columns": ["a", "job"], "data": [[1, "x"], [None, "y"]]}
TALK = [
    {"role": "user", "content": [{"type": "text", "text": "a"}]},
    {"role": "assistant", "content": "b"},
]

JSON = "application/json"
INFER, PREDICT, CALLED = "/v2/models/m/infer", "/v1/models/m:predict", "/invocations"
ASKED = oip.encode_request([tensor("x", X)]).body
ANSWERED = oip.encode_response("m", PARTS).body
_OIP = oip.encode_request([tensor("x", X)], binary=True)
_OIP_OUT = oip.encode_response("m", PARTS, binary=True)
_GRPC = [oip_grpc.encode_request("m", [tensor("x", X)], raw=raw) for raw in (False, True)]
_GRPC_OUT = [oip_grpc.encode_response("m", PARTS, raw=raw) for raw in (False, True)]
_TABLES = [
    *(
        mlflow.encode_request(X, form=form, columns=("a", "b")).body
        for form in ("split", "records")
    ),
    json.dumps({"dataframe_split": SPLIT}).encode(),
]
_SERVING = [
    tfserving.encode_request(X, columnar=columnar, columns=columns).body
    for columnar in (False, True)
    for columns in ((), ("a", "b"))
]
_CHATS = [
    json.dumps({"model": "m", "stream": False, "messages": TALK}).encode(),
    b'{"model":"m","input":["a",[1,2]],"user":"u"}',
    b'{"prompt":["a","b"]}',
]
_LINES = [sagemaker.encode_request(X, form="jsonlines").body]
_NPY = [sagemaker.encode_request(one, form="npy").body for one in (X, P)]
CASES = {
    "oip": (INFER, JSON, {}, [ASKED], [ANSWERED], {}),
    "oip-binary": (
        *(INFER, _OIP.content_type, _OIP.headers, [_OIP.body]),
        *([_OIP_OUT.body], _OIP_OUT.headers),
    ),
    "oip-grpc": (
        *(GRPC, "application/grpc", {}, [framed(one).body for one in _GRPC]),
        *([framed(one).body for one in _GRPC_OUT], {}),
    ),
    "tfserving": (
        *(PREDICT, JSON, {}, _SERVING),
        *([tfserving.encode_response(PARTS).body, b'{"predictions": [0.25, 1]}'], {}),
    ),
    "mlflow": (
        *(CALLED, JSON, {}, _TABLES),
        *([mlflow.encode_response([PARTS[0]]).body, b'{"predictions": ["a", "b"]}'], {}),
    ),
    "csv": (
        *(CALLED, "text/csv", {}, [b'age,job\n30,"a, b"\n,c\n', rows.encode(X)]),
        *([rows.encode(P)], {"content-type": "text/csv"}),
    ),
    "lines": (
        *(CALLED, sagemaker.LINES, {}, _LINES),
        *([b"[0.5, 0.5]\n[1, 0]\n"], {"content-type": sagemaker.LINES}),
    ),
    "npy": (CALLED, sagemaker.NPY, {}, _NPY[:1], _NPY[1:], {"content-type": sagemaker.NPY}),
    "chat": (
        *("/v1/chat/completions", JSON, {}, _CHATS),
        *([chat.encode_response("m", "hello").body, b'{"data":[{"embedding":[1,2]}]}'], {}),
    ),
    "gzip": (
        *(INFER, JSON, {"content-encoding": "gzip"}, [gzip.compress(ASKED, mtime=0)]),
        *([gzip.compress(ANSWERED, mtime=0)], {"content-encoding": "gzip"}),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_request_and_no_answer_breaks_the_guard(name: str) -> None:
    path, kind, more, questions, answers, said = CASES[name]
    watching = guard(Judge())
    changing = enforcing("coarsen", Judge())
    headers = (("content-type", "application/json"), *said.items())
    read = 0
    for body in mutations(questions, MUTATIONS // len(CASES) // 4):
        ask = watching.ask(call(body, path=path, kind=kind, more=tuple(more.items())))
        assert watching.failures == 0, f"{ask.note} from {body!r}"
        assert ask.action.reply is None
        read += ask.kind == "inference"
        watching.answer(ask, Reply(200, headers, answers[0]), AT)
        assert watching.failures == 0, f"{ask.note} from {body!r}"
    assert read, "no mutation was read: the seeds are not seeds"
    asked = call(questions[0], path=path, kind=kind, more=tuple(more.items()))
    changed = 0
    for body in mutations(answers, MUTATIONS // len(CASES) // 4):
        ask = changing.ask(asked)
        found = changing.answer(ask, Reply(200, headers, body), AT)
        assert changing.failures == 0, f"{ask.note} from {body!r}"
        changed += found.reply.body != body
    assert changed or name in ("chat", "lines", "npy")
    assert watching.open == changing.open == 0


def test_the_stream_reader_takes_anything() -> None:
    seeds = [
        b"".join(chat.encode_stream("m", ["a", "\u00e9\n"])),
        b"\xef\xbb\xbfdata: {}\r\r\n: x\n",
    ]
    for body in mutations(seeds, MUTATIONS // 5):
        one, other = chat.Stream(), chat.Stream()
        one.feed(body)
        for at in range(0, len(body), 7):
            other.feed(body[at : at + 7])
        for stream in (one, other):
            stream.end()
        assert (one.text, one.broken, one.pieces, one.done) == (
            other.text,
            other.broken,
            other.pieces,
            other.done,
        ), repr(body)


def test_what_the_strict_reader_lets_by_has_no_double_and_what_it_refuses_has_one() -> None:
    seeds = [
        b'{"a":1,"b":{"a":[1,2,{"c":"d"}]},"e":"\\u0061"}',
        b'{"x":[1,2,3],"y":{"x":"}"}, "z" : {"z":null}}',
    ]

    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in found}) != len(found):
            raise LookupError
        return dict(found)

    for body in mutations(seeds, MUTATIONS // 5):
        try:
            json.loads(body, object_pairs_hook=pairs)
            double = False
        except LookupError:
            double = True
        except (ValueError, RecursionError):
            # Not JSON: both outcomes are right, as the decoder refuses it.
            double = None
        try:
            refuse_doubles(body)
            refused = False
        except FormatError:
            refused = True
        assert double is None or double is refused, repr(body)


def test_the_short_way_through_a_large_body_reads_what_the_long_way_reads() -> None:
    if not fused.warm():
        pytest.skip("numba is not installed")
    many = np.round(np.linspace(-3, 3, 400), 6).reshape(1, 400)
    seeds = [
        oip.encode_request([tensor("x", many)]).body,
        oip.encode_request([tensor("x", many), tensor("y", many[:, :2])], outputs=["z"]).body,
    ]
    short = 0

    def long_way(body: bytes) -> list[Tensor] | None:
        try:
            refuse_doubles(body)
            return list(oip.decode_request(Message(body, JSON)).tensors)
        except FormatError:
            return None

    for body in mutations(seeds, MUTATIONS // 10):
        parted = hollow(body)
        if parted is None:
            continue
        try:
            refuse_doubles(parted.body)
            found = oip.hollow_tensors(oip.request_head(parted.body), parted.array)
        except FormatError:
            assert long_way(body) is None, repr(body)
            continue
        if found is None:
            continue
        short += 1
        wanted = long_way(body)
        assert wanted is not None, repr(body)
        assert [one[::2] for one in found.tensors] == [one[::2] for one in wanted], repr(body)
        for one, other in zip(found.tensors, wanted, strict=True):
            assert one.array.dtype == other.array.dtype, repr(body)
            assert one.array.tobytes() == other.array.tobytes(), repr(body)
    assert short


def test_unpacking_takes_anything() -> None:
    data = b'{"instances": [[1, 2]]}' * 9
    for encoding, seed in (
        ("gzip", gzip.compress(data, mtime=0)),
        ("deflate", zlib.compress(data)),
    ):
        for body in mutations([seed], MUTATIONS // 20):
            try:
                assert len(plain(body, encoding, 1000)) <= 1000
            except FormatError:
                continue
