import gzip
import json
import zlib

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.guard import protocols
from casemate.guard.call import Reply
from casemate.guard.policy import RouteTable
from casemate.guard.rewriting import rewrite
from casemate.guard.routes import Routes
from casemate.targets.wire import oip, oip_grpc, protobuf
from casemate.targets.wire.tensor import Message, Tensor, tensor
from tests.guard.test_protocols import CASES, X, asked, framed, json_message
from tests.guard.traffic import call, enforcing, image, passed, served

P = np.array([[0.26, 0.74], [0.55, 0.45], [1.0, 0.0]])


def rounded(_name, values):
    return np.round(values, 1) if values.dtype.kind == "f" else values


def flipped(_name, values):
    return values[::-1]


def changed(case, body, change, headers=(), tmp_path=None, **table):
    question, route = asked(*CASES[case], tmp_path, **table) if isinstance(case, str) else case
    said = dict(headers)
    reply = Reply(200, (*headers, ("etag", "x"), ("x-pod", "3")), body)
    found = rewrite(question, route, reply, said, body, change)
    kept = dict(found.headers)
    assert kept["x-pod"] == "3"
    assert "etag" not in kept
    assert kept["content-length"] == str(len(found.body))
    again = {**{k: v for k, v in said.items() if k in kept}, **kept}
    return found.body, protocols.answer(question, route, again, found.body)[1]


JSON = (("content-type", "application/json"),)


def test_oip_json_keeps_every_other_byte():
    body = (
        b'{"id":"7","model_name":"m","big":12345678901234567890123,"outputs":[{"name":"p","shape":'
        b'[3,2],"datatype":"FP64","parameters":{"z":1.50},"data":[0.26,0.74,0.56,0.44,1.0,0.0]},'
        b'{"name":"label","shape":[3],"datatype":"INT64","data":[1,0,0]},'
        b'{"name":"other","shape":[1],"datatype":"FP64","data":[0.123]}]}'
    )
    made, found = changed("oip", body, rounded, JSON)
    np.testing.assert_array_equal(found.scores, [[0.3, 0.7], [0.6, 0.4], [1.0, 0.0]])
    assert made == body.replace(b"[0.26,0.74,0.56,0.44,1.0,0.0]", b"[0.3,0.7,0.6,0.4,1.0,0.0]")


def test_nested_data_stay_nested():
    body = b'{"outputs":[{"name":"p","shape":[3,2],"datatype":"FP64","data":[[1,2],[3,4],[5,6]]}]}'
    made, _ = changed("oip", body, flipped, JSON)
    assert json.loads(made)["outputs"][0]["data"] == [[5, 6], [3, 4], [1, 2]]


def test_texts_change_too_when_they_must():
    body = b'{"outputs":[{"name":"l","shape":[3],"datatype":"BYTES","data":["a","b","c"]}]}'
    _, found = changed("oip", body, flipped, JSON)
    assert found.label_names == ("c", "b", "a")


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_oip_binary(datatype):
    parts = [Tensor("p", P, datatype), Tensor("l", np.array([1, 0, 0], np.int64), "INT64")]
    message = oip.encode_response("m", parts, binary=True)
    headers = (("content-type", message.content_type), *message.headers.items())
    made, found = changed("oip-binary", message.body, rounded, headers)
    np.testing.assert_allclose(
        found.scores, np.round(P, 1), atol=1e-3 if datatype == "FP16" else 1e-6
    )
    assert len(made) == len(message.body)


def test_grpc_keeps_what_it_does_not_know():
    plain = oip_grpc.encode_response("m", [tensor("p", P)]) + protobuf.field(3, "id-7")
    made, found = changed(
        "oip-grpc", framed(plain).body, rounded, (("content-type", "application/grpc"),)
    )
    np.testing.assert_array_equal(found.scores, np.round(P, 1))
    assert b"id-7" in made


@pytest.mark.parametrize(
    ("case", "value"),
    [
        ("tfserving", {"predictions": P.tolist()}),
        ("tfserving-columnar", {"outputs": P.tolist()}),
        ("tfserving", {"predictions": [{"p": row, "l": 1} for row in P.tolist()]}),
        ("mlflow-split", {"predictions": P.tolist()}),
        ("sagemaker-list", P.tolist()),
        ("sagemaker-instances", {"predictions": [{"score": row} for row in P.tolist()]}),
    ],
)
def test_plain_json(case, value):
    _, found = changed(case, json.dumps(value).encode(), rounded, JSON)
    np.testing.assert_array_equal(found.scores, np.round(P, 1))


def test_csv():
    body = b"0.26,0.74\n0.55,0.45\n1.0,0.0\n"
    _, found = changed("sagemaker-csv", body, rounded, (("content-type", "text/csv"),))
    np.testing.assert_array_equal(found.scores, np.round(P, 1))


def test_templated(tmp_path):
    (tmp_path / "t.json").write_text('{"q": "$inputs"}')
    route = Routes(
        (RouteTable(match="/**", protocol="json", template="t.json", answer="a.p[0]"),), tmp_path
    ).find("/x")
    question = protocols.question(route, dict(JSON), json_message({"q": X.tolist()}).body)
    body = json.dumps({"a": {"p": [P.tolist(), 7]}, "z": "kept"}).encode()
    made, found = changed((question, route), body, rounded, JSON)
    np.testing.assert_array_equal(found.scores, np.round(P, 1))
    assert json.loads(made)["z"] == "kept"


def test_chat_gives_no_likelihoods_away():
    question, route = asked(
        "/v1/chat/completions",
        json_message({"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    )
    choice = {"index": 0, "message": {"content": "hi"}, "logprobs": {"content": [{"logprob": -1}]}}
    made, _ = changed((question, route), json.dumps({"choices": [choice]}).encode(), rounded, JSON)
    assert json.loads(made)["choices"] == [{"index": 0, "message": {"content": "hi"}}]


@pytest.mark.parametrize(
    ("case", "body", "headers"),
    [
        ("oip", b"{}", JSON),
        ("tfserving", b'{"predictions": [{"a": 1}, {"b": 2}, {}]}', JSON),
        ("tfserving", b'{"predictions": [[1], [1, 2], []]}', JSON),
        ("tfserving", b'{"predictions": [[null], [1], [2]]}', JSON),
        (
            "oip-grpc",
            framed(oip_grpc.encode_response("m", [tensor("p", P)], raw=False)).body,
            (("content-type", "application/grpc"),),
        ),
    ],
)
def test_what_cannot_be_changed_says_so(case, body, headers):
    question, route = asked(*CASES[case])
    with pytest.raises(FormatError):
        rewrite(question, route, Reply(200, headers, body), dict(headers), body, rounded)


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_a_packed_answer_is_unpacked_to_be_changed_and_packed_again(packing):
    pack = gzip.compress if packing == "gzip" else zlib.compress
    body = pack(oip.encode_response("m", [tensor("p", P[:1])]).body)
    reply = Reply(
        200, (*JSON, ("content-encoding", packing), ("content-length", "1"), ("x-a", "b")), body
    )
    got, events = passed(enforcing("coarsen"), image(), reply)
    assert got.headers == (
        *JSON, ("content-encoding", packing), ("content-length", str(len(got.body))), ("x-a", "b"),
    )  # fmt: skip
    unpack = gzip.decompress if packing == "gzip" else zlib.decompress
    np.testing.assert_array_equal(served(got._replace(body=unpack(got.body))), [[0.3, 0.7]])
    assert events[0].enforced


def test_both_one_input_forms():
    body = b'{"outputs":[{"name":"p","shape":[2],"datatype":"FP64","data":[0.26,0.74]}]}'
    question, route = asked("/v2/models/m/infer", oip.encode_request([tensor("x", X[:1])]))
    made, found = changed((question, route), body, rounded, JSON)
    np.testing.assert_array_equal(found.scores, [[0.3, 0.7]])
    assert isinstance(Message(made, ""), Message)


def test_an_answer_in_which_no_value_changes_is_served_as_it_came():
    asked = image()
    body = b'{"outputs": [{"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [0.30, 0.7]}]}'
    reply = Reply(200, (*JSON, ("etag", "x")), body)
    got, (event,) = passed(enforcing("coarsen"), asked, reply)
    assert got is reply
    assert (event.decision, event.served_digest) == ("coarsen", None)


@pytest.mark.parametrize(
    ("layout", "end"),
    [
        ({"separators": (",", ":")}, ""),
        ({}, "\n"),
        ({"indent": 2}, "\n"),
        ({"indent": 4}, ""),
    ],
)
def test_json_is_set_out_as_it_was(layout, end):
    output = {"name": "p", "shape": [1, 2], "datatype": "FP64", "data": [0.26, 0.74]}
    whole = {"model_name": "m: [x", "outputs": [output]}
    reply = Reply(200, JSON, (json.dumps(whole, **layout) + end).encode())
    got, _ = passed(enforcing("coarsen"), image(), reply)
    output["data"] = [0.3, 0.7]
    assert got.body.decode() == json.dumps(whole, **layout) + end
    bare = Reply(200, JSON, (json.dumps({"predictions": P[:1].tolist()}, **layout) + end).encode())
    asked = json_message({"instances": [[1.0, 2.0]]})
    question = call(asked.body, path="/v1/models/m:predict")
    got, _ = passed(enforcing("coarsen"), question, bare)
    assert got.body.decode() == json.dumps({"predictions": [[0.3, 0.7]]}, **layout) + end
