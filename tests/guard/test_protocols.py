import gzip
import json

import numpy as np
import pytest

from casemate.errors import FormatError, LimitExceeded
from casemate.guard import literals, protocols, shaping
from casemate.guard.policy import RouteTable
from casemate.guard.routes import Routes
from casemate.targets.wire import mlflow, oip, oip_grpc, sagemaker, tfserving
from casemate.targets.wire.tensor import Message, Tensor, tensor

X = np.array([[1.5, 2.0], [3.0, -4.25], [0.0, 1e-9]])
IMAGES = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)


def asked(path, message, tmp_path=None, **table):
    route = Routes((RouteTable(match="/**", **table),) if table else (), tmp_path).find(path)
    headers = {"content-type": message.content_type, **message.headers}
    return protocols.question(route, headers, message.body), route


def told(question, route, message):
    headers = {"content-type": message.content_type, **message.headers}
    return protocols.answer(question, route, headers, message.body)[1]


def framed(body):
    return Message(b"\0" + len(body).to_bytes(4, "big") + body, "application/grpc")


def json_message(value):
    return Message(json.dumps(value).encode(), "application/json")


CASES = {
    "oip": ("/v2/models/m/infer", oip.encode_request([Tensor("x", X, "FP64")])),
    "oip-binary": (
        "/v2/models/m/infer",
        oip.encode_request([Tensor("x", X, "FP64")], binary=True),
    ),
    "oip-grpc": (
        "/inference.GRPCInferenceService/ModelInfer",
        framed(oip_grpc.encode_request("m", [Tensor("x", X, "FP64")], version="4")),
    ),
    "tfserving": ("/v1/models/m:predict", tfserving.encode_request(X)),
    "tfserving-columnar": ("/v1/models/m:predict", tfserving.encode_request(X, columnar=True)),
    "mlflow-split": ("/invocations", mlflow.encode_request(X, columns=["a", "b"])),
    "mlflow-records": (
        "/invocations",
        mlflow.encode_request(X, form="records", columns=["a", "b"]),
    ),
    "mlflow-inputs": ("/invocations", mlflow.encode_request(X, form="inputs")),
    "mlflow-csv": ("/invocations", mlflow.encode_request(X, form="csv", columns=["a", "b"])),
    "sagemaker-instances": ("/invocations", sagemaker.encode_request(X, form="instances")),
    "sagemaker-list": ("/invocations", sagemaker.encode_request(X, form="list")),
    "sagemaker-csv": ("/invocations", sagemaker.encode_request(X, form="csv")),
    "sagemaker-lines": ("/invocations", sagemaker.encode_request(X, form="jsonlines")),
    "sagemaker-npy": ("/invocations", sagemaker.encode_request(X, form="npy")),
}
COLUMNS = {"mlflow-split", "mlflow-records", "mlflow-csv"}


@pytest.mark.parametrize("name", CASES)
def test_every_protocol_says_the_same_question(name):
    path, message = CASES[name]
    question, _ = asked(path, message)
    assert question.protocol == name or name.startswith(f"{question.protocol}-")
    assert question.inputs.rows == 3
    np.testing.assert_array_equal(question.inputs.x, X)
    assert question.inputs.columns == (("a", "b") if name in COLUMNS else ())


@pytest.mark.parametrize("name", ["oip", "oip-binary", "oip-grpc", "tfserving", "sagemaker-list"])
def test_scores_and_labels_come_back(name):
    path, message = CASES[name]
    question, route = asked(path, message)
    p = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
    parts = [Tensor("label", np.array([1, 0, 0], np.int64), "INT64"), tensor("p", p)]
    answer = {
        "oip": lambda: oip.encode_response("m", parts),
        "oip-binary": lambda: oip.encode_response("m", parts, binary=True),
        "oip-grpc": lambda: framed(oip_grpc.encode_response("m", parts)),
        "tfserving": lambda: tfserving.encode_response(parts),
        "sagemaker-list": lambda: sagemaker.encode_response(parts),
    }[name]()
    found = told(question, route, answer)
    np.testing.assert_array_equal(found.scores, p)
    np.testing.assert_array_equal(found.labels, [1, 0, 0])


def test_images_and_single_flat_inputs():
    body = oip.encode_request([Tensor("x", IMAGES, "FP32")], binary=True)
    question, _ = asked("/v2/models/m/infer", body)
    assert (question.inputs.rows, question.inputs.x.shape) == (2, (2, 3, 4, 4))
    flat = oip.encode_request([Tensor("x", IMAGES[0].reshape(-1), "FP32")])
    question, _ = asked("/v2/models/m/infer", flat)
    assert (question.inputs.rows, question.inputs.x.shape) == (1, (1, 48))


def test_columns_of_several_tensors_and_texts():
    parts = {"inputs": [
        {"name": "age", "shape": [2], "datatype": "FP32", "data": [30, 40]},
        {"name": "income", "shape": [2, 1], "datatype": "FP32", "data": [1.5, 2.5]},
        {"name": "job", "shape": [2, 1], "datatype": "BYTES", "data": ["nurse", "clerk"]},
        {"name": "town", "shape": [2], "datatype": "BYTES", "data": ["Ulm", ""]},
    ]}  # fmt: skip
    question, _ = asked("/v2/models/m/infer", json_message(parts))
    assert question.inputs.columns == ("age", "income")
    np.testing.assert_array_equal(question.inputs.x, [[30, 1.5], [40, 2.5]])
    assert question.inputs.texts == ("nurse\x1fUlm", "clerk\x1f")


def test_mixed_tables_of_mlflow_and_sagemaker():
    split = {"columns": ["age", "job", "pay"], "data": [[30, "nurse", None], [40, "clerk", 2.5]]}
    question, _ = asked("/invocations", json_message({"dataframe_split": split}))
    assert question.inputs.columns == ("age", "pay")
    np.testing.assert_array_equal(question.inputs.x, [[30, np.nan], [40, 2.5]])
    assert question.inputs.texts == ("nurse", "clerk")
    records = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    other, _ = asked("/invocations", json_message({"dataframe_records": records}))
    np.testing.assert_array_equal(other.inputs.x, question.inputs.x)
    assert other.inputs.texts == question.inputs.texts
    body = b'30,"nurse, night",\n40,clerk,2.5\n'
    third, _ = asked("/invocations", Message(body, "text/csv"))
    assert third.protocol == "sagemaker"
    np.testing.assert_array_equal(third.inputs.x, question.inputs.x)
    assert third.inputs.texts == ("nurse, night", "clerk")
    headed, _ = asked("/invocations", Message(b"age,job,pay\n" + body, "text/csv"))
    assert (headed.protocol, headed.inputs.columns) == ("mlflow", ("age", "pay"))


def test_templated_json(tmp_path):
    (tmp_path / "t.json").write_text('{"q": {"rows": "$inputs"}, "v": 1}')
    table = {"protocol": "json", "template": "t.json", "answer": "out.p", "model": "m"}
    question, route = asked("/score", json_message({"q": {"rows": X.tolist()}}), tmp_path, **table)
    np.testing.assert_array_equal(question.inputs.x, X)
    found = told(question, route, json_message({"out": {"p": [[0.1, 0.9]] * 3}}))
    np.testing.assert_array_equal(found.labels, [1, 1, 1])
    (tmp_path / "t.json").write_text('[{"row": "$record"}]')
    question, _ = asked(
        "/score", json_message([{"row": {"age": 3, "job": "x"}}]), tmp_path, **table
    )
    assert (question.inputs.columns, question.inputs.texts) == (("age",), ("x",))
    with pytest.raises(FormatError):
        asked("/score", json_message([]), tmp_path, **table)


def test_chat(tmp_path):
    body = {"model": "gpt", "stream": True, "messages": [
        {"role": "user", "content": "old"}, {"role": "assistant", "content": "yes"},
        {"role": "user", "content": "new"}]}  # fmt: skip
    question, route = asked("/v1/chat/completions", json_message(body))
    assert (question.model, question.streams, question.inputs.texts) == ("gpt", True, ("new",))
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "sure"}}]}
    assert told(question, route, json_message(answer)).label_names == ("sure",)


GRPC = framed(oip_grpc.encode_request("m", [Tensor("x", X, "FP64")])).body
AMBIGUOUS = {
    "doubled member": ("/v2/models/m/infer", b'{"inputs": [], "inputs": []}', "application/json"),
    "doubled in binary": (
        "/v2/models/m/infer",
        b'{"inputs":[],"inputs":[]}',
        "application/octet-stream",
        {oip.HEAD: "25"},
    ),
    "two forms": ("/invocations", b'{"inputs": [1], "instances": [2]}', "application/json"),
    "no form": ("/invocations", b'{"rows": [1]}', "application/json"),
    "not json": ("/v2/models/m/infer", b"{", "application/json"),
    "utf-16": ("/v2/models/m/infer", '{"inputs": []}'.encode("utf-16"), "application/json"),
    "wrong length": (
        "/v2/models/m/infer",
        b'{"inputs":[{"name":"x","shape":[3],"datatype":"FP32","data":[1]}]}',
        "application/json",
    ),
    "multipart": ("/v2/models/m/infer", b"--x", "multipart/form-data; boundary=x"),
    "empty": ("/v1/models/m:predict", b"", "application/json"),
    "no rows": ("/v1/models/m:predict", b'{"instances": []}', "application/json"),
    "uneven": ("/v1/models/m:predict", b'{"instances": [[1], [1, 2]]}', "application/json"),
    "quoted newline": ("/invocations", b'"a\n1,2\n', "text/csv"),
    "two grpc messages": (
        "/inference.GRPCInferenceService/ModelInfer",
        GRPC * 2,
        "application/grpc",
    ),
    "compressed grpc": (
        "/inference.GRPCInferenceService/ModelInfer",
        b"\1" + GRPC[1:],
        "application/grpc",
    ),
    "cut grpc": ("/inference.GRPCInferenceService/ModelInfer", GRPC[:-1], "application/grpc"),
    "both chat forms": ("/v1/completions", b'{"prompt": "a", "input": "b"}', "application/json"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_has_two_meanings_or_none_is_not_read(name):
    path, body, kind, *more = AMBIGUOUS[name]
    with pytest.raises(FormatError):
        asked(path, Message(body, kind, more[0] if more else {}))


def test_a_header_that_says_how_to_read_stands_once():
    for name in ("content-type", "content-encoding", "content-length", oip.HEAD):
        said = ((name, "1"), ("x", "y"), (name, "2"))
        with pytest.raises(FormatError, match=name):
            protocols.refuse_repeated(dict(said), said)
    protocols.refuse_repeated({"x": "2"}, (("x", "1"), ("x", "2")))


def test_a_small_body_cannot_become_millions_of_events():
    rows = b'{"instances": [' + b"0," * shaping.MAX_ROWS + b"0]}"
    with pytest.raises(LimitExceeded):
        asked("/v1/models/m:predict", Message(rows, "application/json"))
    assert len(gzip.compress(rows)) < 1000


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.array([0.25, 0.75, 0.5]), [0, 1, 0]),
        (np.array([[0.25], [0.75], [0.5]]), [0, 1, 0]),
        (np.array([3.5, 7.25, 0.5]), None),
        (np.array([[2, 0], [0, 1], [0, 0.5]]), [0, 1, 1]),
    ],
)
def test_one_column_is_a_probability_where_it_can_be_one(values, labels):
    question, route = asked(*CASES["tfserving"])
    found = told(question, route, tfserving.encode_response([tensor("p", values)]))
    if labels is None:
        assert found.scores is None
        assert found.labels is None
    else:
        np.testing.assert_array_equal(found.labels, labels)


def test_the_output_a_route_names_is_the_one_that_counts():
    parts = [tensor("logits", X * 10), tensor("p", np.abs(X[:, ::-1]))]
    question, route = asked(*CASES["oip"], None, output="p")
    np.testing.assert_array_equal(
        told(question, route, oip.encode_response("m", parts)).scores, np.abs(X[:, ::-1])
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (
            "/v2/models/m/infer",
            b'{"inputs":[{"name":"NaN","shape":[2,2],"datatype":"FP32","data":[NaN,1,-Infinity,2]}]}',
        ),
        ("/v1/models/m:predict", b'{"instances": [[NaN, 1], [ -Infinity , 2]]}'),
        ("/invocations", b'{"dataframe_split": {"data": [[NaN, 1], [Infinity, 2]]}}'),
        ("/invocations", b'{"inputs": [[NaN, 1.0], [Infinity, 2.0]]}'),
    ],
)
def test_not_a_number_is_read_on_open_routes_alone(path, body):
    question, _ = asked(path, Message(body, "application/json"))
    np.testing.assert_array_equal(question.inputs.x, [[np.nan, 1], [np.nan, 2]])
    with pytest.raises(FormatError):
        asked(path, Message(body, "application/json"), None, fail="closed")


def test_words_that_look_like_it_are_left_alone():
    body = b'{"instances": ["NaN", "a \\" NaN"]}'
    question, _ = asked("/v1/models/m:predict", Message(body, "application/json"))
    assert question.inputs.texts == ("NaN", 'a " NaN')
    assert literals.without(body) is None
    assert (
        literals.without(b'{"a": [NaN, 1], "NaN": 2}')
        == b'{"a": [-1.7976931348623157e308, 1], "NaN": 2}'
    )
