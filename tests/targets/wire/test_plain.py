"""The JSON and CSV protocols: what they write, that it comes back, and what they refuse."""

from __future__ import annotations

import io
import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import mlflow, numbers, rows, sagemaker, template, tfserving
from casemate.targets.wire.tensor import Answer, Message, Text, tensor
from tests.targets.wire.strategies import arrays, tables

X = np.array([[1.5, 2.0], [0.0, -3.25]])


def only(answer: Answer) -> np.ndarray:
    (one,) = answer.tensors
    return one.array


def stacked(answer: Answer) -> np.ndarray:
    return np.stack([one.array for one in answer.tensors], axis=1)


@given(tables(), st.booleans())
def test_tfserving_round_trip(x: np.ndarray, columnar: bool) -> None:
    columns = [f"c{i}" for i in range(x.shape[1])]
    ask = tfserving.encode_request
    read = tfserving.decode_request
    np.testing.assert_array_equal(only(read(ask(x, columnar=columnar))), x)
    np.testing.assert_array_equal(only(read(ask(x, columnar=columnar, name="n"))), x)
    message = ask(x, columnar=columnar, columns=columns)
    np.testing.assert_array_equal(stacked(read(message)), x)
    message = tfserving.encode_response([tensor("p", x)], columnar=columnar)
    np.testing.assert_array_equal(only(tfserving.decode_response(message)), x)


@given(tables(), st.sampled_from(get_args(mlflow.Form)))
def test_mlflow_round_trip(x: np.ndarray, form: Any) -> None:
    answer = mlflow.decode_request(mlflow.encode_request(x, form=form))
    read = stacked(answer) if form == "records" else only(answer)
    np.testing.assert_array_equal(read.reshape(x.shape), x)
    message = mlflow.encode_response([tensor("p", x)])
    np.testing.assert_array_equal(only(mlflow.decode_response(message)), x)


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


@given(st.sampled_from(["BOOL", "INT64", "UINT64", "FP64"]), st.data())
def test_numbers_round_trip(datatype: str, data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 3), min_size=0, max_size=4).map(tuple))
    x = data.draw(arrays(datatype, shape))
    read = numbers.array(numbers.dump(numbers.lists(x)))
    assert read.shape == x.shape
    assert read.tolist() == x.tolist()


def test_large_whole_numbers_are_not_rounded() -> None:
    read = numbers.array(b"[[0], [9223372036854775809]]")
    assert read.dtype == np.uint64
    assert read.tolist() == [[0], [9223372036854775809]]
    assert numbers.array(b"[0.5, 9223372036854775809]").dtype == np.float64


def test_what_is_written() -> None:
    def said(message: Message) -> Any:
        return json.loads(message.body)

    rows_ = X.tolist()
    assert said(tfserving.encode_request(X, signature="s")) == {
        "signature_name": "s",
        "instances": rows_,
    }
    assert said(tfserving.encode_request(X, columnar=True)) == {"inputs": rows_}
    assert said(tfserving.encode_request(X, name="d")) == {
        "instances": [{"d": rows_[0]}, {"d": rows_[1]}]
    }
    assert said(mlflow.encode_request(X, columns=["a", "b"])) == {
        "dataframe_split": {"columns": ["a", "b"], "data": rows_}
    }
    assert said(mlflow.encode_request(X, form="records", columns=["a", "b"])) == {
        "dataframe_records": [{"a": 1.5, "b": 2.0}, {"a": 0.0, "b": -3.25}]
    }
    message = mlflow.encode_request(X, form="csv", columns=["a", "b,c"])
    assert message.body == b'a,"b,c"\n1.5,2.0\n0.0,-3.25\n'
    assert message.content_type == "text/csv"
    assert sagemaker.encode_request(X).body == b"1.5,2.0\n0.0,-3.25\n"
    assert said(sagemaker.encode_request(X, form="features")) == {
        "instances": [{"features": rows_[0]}, {"features": rows_[1]}]
    }
    assert said(sagemaker.encode_request(X, form="list")) == rows_
    images = np.zeros((2, 1, 2, 2))
    assert said(mlflow.encode_request(images, form="inputs")) == {"inputs": images.tolist()}
    assert mlflow.form_for((4,)) == "split"
    assert mlflow.form_for((1, 2, 2)) == "inputs"


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


def test_rows_of_objects_and_objects_of_rows() -> None:
    body = b'{"predictions": [{"label": "a", "p": [0.1, 0.9]}, {"label": "b", "p": [1, 0]}]}'
    answer = mlflow.decode_response(Message(body, "application/json"))
    assert answer.texts == (Text("label", ("a", "b")),)
    assert only(answer).tolist() == [[0.1, 0.9], [1, 0]]
    body = b'{"outputs": {"label": [3, 4], "p": [[0.5], [0.25]]}}'
    answer = tfserving.decode_response(Message(body, "application/json"))
    assert [one.name for one in answer.tensors] == ["label", "p"]
    assert mlflow.decode_response(Message(b"[1, 0]", "")).tensors[0].array.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"predictions": [{"a": 1}, {"b": 1}]}', "differ in their keys"),
        (b'{"predictions": [[{"a": 1}]]}', "object"),
        (b'{"predictions": {"a": {"b": {"c": 1}}}}', "object"),
        (b'{"predictions": "high"', "not JSON|truncated"),
        (b'{"predictions": [1, "a"]}', "str"),
        (b'{"predictions": ["a", 1]}', "int"),
        (b'{"predictions": [[1], 2]}', "int"),
        (b'{"predictions": [1e999]}', "range"),
        (b'{"predictions": [-Infinity]}', "NaN or Infinity"),
        (b'{"predictions": [[[[[[[[[1]]]]]]]]]}', "nested 9 deep"),
        (b'{"predictions": [' + b" " * 5000 + b"[1]]}", "array"),
        (b'{"predictions": [1' + b"0" * 400 + b"]}", "range|64 bits"),
        (json.dumps({"predictions": {str(i): 1 for i in range(300)}}).encode(), "300 keys"),
        (b'{"predictions": [\xff]}', "JSON"),
        (b'{"predictions": ["\xff"]}', "JSON"),
    ],
)
def test_predictions_that_are_none(body: bytes, text: str) -> None:
    for decode in (mlflow.decode_response, tfserving.decode_response):
        with pytest.raises(FormatError, match=text):
            decode(Message(body, "application/json"))


@pytest.mark.parametrize("body", [b"1,2\n3", b"1,a", b"\xff", b"a,b\nc,d", b"1_0,2", b"1,\n2,3"])
def test_csv_that_is_none(body: bytes) -> None:
    with pytest.raises(FormatError):
        rows.decode(body)


def test_csv_of_names() -> None:
    assert rows.decode(b'"cat"\ndog\n').texts == (Text("predictions", ("cat", "dog")),)
    assert rows.decode(b"").tensors[0].array.size == 0
    assert only(rows.decode(b"9" * 30)).tolist() == [1e30]


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


@pytest.mark.parametrize("path", ["a..b", "a[", "a[x]", "[-1]", ".".join("a" * 40), "a[9999999]"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(FormatError, match="not a path"):
        template.steps(path)


@pytest.mark.parametrize("path", ["b", "a[3]", "a.b", "a[0][0]", "a[0].x"])
def test_answers_with_nothing_there(path: str) -> None:
    with pytest.raises(FormatError):
        template.decode_response(Message(b'{"a": [1, 2]}', "application/json"), path)


def test_paths() -> None:
    assert template.steps("") == ()
    assert template.steps("a.b[0][*].c d") == ("a", "b", 0, "*", "c d")
    message = Message(b'{"a": [{"p": 1}, {"p": 2}]}', "application/json")
    assert only(template.decode_response(message, "a[*].p")).tolist() == [1, 2]
    assert only(template.decode_response(message, "a[1].p")).tolist() == 2


def test_what_cannot_be_written() -> None:
    with pytest.raises(FormatError, match="one"):
        template.encode_request(template.read(b'["$input"]'), X)
    with pytest.raises(FormatError, match="column names"):
        template.encode_request(template.read(b'["$records"]'), X, columns=["a"])
    with pytest.raises(FormatError, match="rows of columns"):
        sagemaker.encode_request(np.zeros((2, 2, 2)))
    with pytest.raises(FormatError, match="table"):
        mlflow.encode_request(np.zeros((2, 2, 2)))
    with pytest.raises(FormatError, match="NaN"):
        rows.encode(np.array([[np.inf]]))
    with pytest.raises(FormatError, match="not numeric"):
        sagemaker.encode_request(np.array([["a"]]), form="list")
    with pytest.raises(FormatError, match="not numeric"):
        sagemaker.encode_request(np.array([["a"]]), form="npy")


def test_tfserving_metadata() -> None:
    info = {
        "dtype": "DT_HALF",
        "tensor_shape": {"dim": [{"size": "-1"}, {"size": 3}], "unknown_rank": False},
    }
    free = {"dtype": "DT_VARIANT", "tensor_shape": {"dim": [], "unknown_rank": True}}
    signature = {"inputs": {"x": info, "y": free}, "outputs": {}, "method_name": "m"}
    body = {"metadata": {"signature_def": {"signature_def": {"serving_default": signature}}}}
    found = tfserving.decode_metadata(json.dumps(body).encode())
    assert found.inputs == (("x", "FP16", (-1, 3)), ("y", "DT_VARIANT", None))
    with pytest.raises(FormatError, match="no signature"):
        tfserving.decode_metadata(json.dumps(body).encode(), "other")
    info["tensor_shape"]["dim"][0]["size"] = "9" * 40  # type: ignore[index]
    with pytest.raises(FormatError, match="not a number"):
        tfserving.decode_metadata(json.dumps(body).encode())
