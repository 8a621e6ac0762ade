"""Mutations of what servers say: a decoder returns, or raises FormatError, and nothing else.

The number of mutations is `CASEMATE_FUZZ`, 30,000 when it is not set; the seed is fixed, and a
failure prints the body that made it.
"""

from __future__ import annotations

import io
import json
import os
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.targets.wire import (
    mlflow,
    oip,
    oip_grpc,
    protobuf,
    rows,
    sagemaker,
    template,
    tfserving,
)
from casemate.targets.wire.tensor import Answer, Message, Metadata, Spec, Tensor, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MUTATIONS = int(os.environ.get("CASEMATE_FUZZ", "30000"))
P = np.array([[0.25, 0.75], [0.5, 0.5]])
ALL = [
    Tensor("p", P, "FP64"),
    Tensor("i", np.array([1, -2, 300], np.int64), "INT64"),
    Tensor("b", np.array([True, False]), "BOOL"),
    Tensor("u", np.array([[7]], np.uint8), "UINT8"),
]
TEXT = (
    b'{"outputs":[{"name":"t","shape":[2],"datatype":"BYTES",'
    b'"parameters":{"binary_data_size":11}}]}'
)
ODD = (
    *(b"[", b"]", b"{", b"}", b'"', b",", b"null", b"NaN", b"-", b"1e999", b"9" * 30, b"[" * 40),
    *(b"\x00", b"\xff" * 9, b"\x80", b"\n", b'"BYTES"', b"-1", b"4294967296", b"\\ud800", b"\xc0"),
)


def _npy() -> bytes:
    out = io.BytesIO()
    np.save(out, P)
    return out.getvalue()


def _grpc_head(datatype: str, length: int) -> bytes:
    shape = protobuf.field(3, protobuf.varint(length))
    return protobuf.field(5, protobuf.field(1, "o") + protobuf.field(2, datatype) + shape)


def _oip(message: Message) -> Answer:
    # The head's length is part of what a server controls.
    length, _, body = message.body.partition(b"|")
    headers = {oip.HEAD: length.decode("latin-1")} if length else {}
    return oip.decode_response(Message(body, message.content_type, headers))


def _joined(message: Message) -> bytes:
    return message.headers.get(oip.HEAD, "").encode() + b"|" + message.body


def _kind(kind: str) -> Callable[[Message], Answer]:
    return lambda message: sagemaker.decode_response(message._replace(content_type=kind), 2)


_INFO = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "4"}]}}
_SIGNATURE = {"serving_default": {"inputs": {"x": _INFO}, "outputs": {}}}
CASES: dict[str, tuple[Callable[[Message], Any], list[bytes]]] = {
    "oip": (
        _oip,
        [
            _joined(oip.encode_response("m", ALL)),
            _joined(oip.encode_response("m", ALL, binary=True)),
            str(len(TEXT)).encode() + b"|" + TEXT + b"\x01\0\0\0a\x02\0\0\0bc",
        ],
    ),
    "oip-metadata": (
        lambda m: oip.decode_metadata(m.body),
        [b'{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}],"outputs":[]}'],
    ),
    "oip-grpc": (
        lambda m: oip_grpc.decode_response(m.body),
        [
            oip_grpc.encode_response("m", ALL),
            oip_grpc.encode_response("m", ALL, raw=False),
            _grpc_head("BYTES", 1) + protobuf.field(6, b"\x01\0\0\0a"),
        ],
    ),
    "oip-grpc-metadata": (
        lambda m: oip_grpc.decode_metadata(m.body),
        [oip_grpc.encode_metadata(Metadata("m", (Spec("x", "FP32", (-1, 4)),), ()))],
    ),
    "tfserving": (
        tfserving.decode_response,
        [
            tfserving.encode_response([tensor("p", P)]).body,
            tfserving.encode_response([tensor("p", P), tensor("q", P)]).body,
            tfserving.encode_response([tensor("p", P), tensor("q", P)], columnar=True).body,
        ],
    ),
    "tfserving-metadata": (
        lambda m: tfserving.decode_metadata(m.body),
        [json.dumps({"metadata": {"signature_def": {"signature_def": _SIGNATURE}}}).encode()],
    ),
    "mlflow": (
        mlflow.decode_response,
        [
            mlflow.encode_response([tensor("p", P)]).body,
            b'{"predictions": [{"label": "a", "p": 0.5}, {"label": "b", "p": 1}]}',
            b'["a", "b"]',
        ],
    ),
    "sagemaker-json": (
        _kind("application/json"),
        [b"[[0.5, 0.5], [1, 0]]", b'{"predictions": [{"score": [0.5]}, {"score": [1]}]}'],
    ),
    "sagemaker-lines": (_kind("application/jsonlines"), [b'{"score": 0.5}\n{"score": 1}\n']),
    "sagemaker-csv": (_kind("text/csv"), [rows.encode(P), b"cat\ndog\n", b"0.5,0.25"]),
    "sagemaker-npy": (_kind("application/x-npy"), [_npy()]),
    "json": (
        lambda m: template.decode_response(m, "a[*].p"),
        [b'{"a": [{"p": [0.5, 0.5]}, {"p": [1, 0]}]}'],
    ),
    "template": (lambda m: template.read(m.body), [b'{"a": [{"rows": "$inputs"}], "b": null}']),
    "path": (lambda m: template.steps(m.body.decode("latin-1")), [b"a.b[0][*].c"]),
}


def mutations(seeds: list[bytes], count: int) -> Iterator[bytes]:
    """Yield changed bodies: bits, bytes, cuts, repeats, moved pieces and odd tokens."""
    rng = random.Random(0)
    for _ in range(count):
        body = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(body) + 1)
            to = min(len(body), at + rng.randrange(1, 9))
            match rng.randrange(7):
                case 0 if at < len(body):
                    body[at] ^= 1 << rng.randrange(8)
                case 1 if at < len(body):
                    body[at] = rng.randrange(256)
                case 2:
                    del body[at:to]
                case 3:
                    body[at:at] = body[at:to] * rng.randrange(1, 20)
                case 4:
                    body[at:to] = rng.choice(ODD)
                case 5:
                    del body[at:]
                case _:
                    other = rng.choice(seeds)
                    cut = rng.randrange(len(other) + 1)
                    body[at:to] = other[cut : cut + rng.randrange(1, 24)]
        yield bytes(body)


@pytest.mark.parametrize("name", CASES)
def test_only_format_errors(name: str) -> None:
    decode, seeds = CASES[name]
    for seed in seeds:
        decode(Message(seed, "application/json"))
    read = 0
    said: set[str] = set()
    for body in mutations(seeds, MUTATIONS // len(CASES)):
        try:
            answer = decode(Message(body, "application/json"))
        except FormatError as error:
            said.add(str(error))
            continue
        except BaseException as error:
            raise AssertionError(f"{name}: {error!r} from {body!r}") from error
        read += 1
        if isinstance(answer, Answer):
            assert all(one.array.dtype.kind in "biuf" for one in answer.tensors)
    assert all("\n" not in line and len(line) < 500 for line in said)
    assert read, "no mutation was accepted: the seeds are not seeds"


HUGE = [
    ("oip", b'|{"outputs":[{"name":"o","shape":[268435456],"datatype":"FP64","data":[]}]}'),
    ("oip", b'|{"outputs":[{"name":"o","shape":[0,268435456],"datatype":"BYTES","data":[]}]}'),
    ("oip-grpc", _grpc_head("FP64", 1 << 28)),
    ("oip-grpc", _grpc_head("BYTES", 1 << 20)),
    ("oip-grpc", _grpc_head("BYTES", 1) + protobuf.field(6, b"\xff\xff\xff\x7f")),
    ("sagemaker-npy", _npy().replace(b"(2, 2), }", b"(99999,)}")),
    ("sagemaker-json", b'["' + b"a" * 100000 + b'"' + b',"b"' * 1000 + b"]"),
    ("mlflow", b"[" * 100000),
    ("template", b"[" * 100000),
]


@pytest.mark.parametrize(("name", "body"), HUGE)
def test_claims_allocate_nothing(name: str, body: bytes) -> None:
    tracemalloc.start()
    try:
        CASES[name][0](Message(body, "application/json"))
    except FormatError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 40 * len(body) + (1 << 20)
