from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import mlflow
from casemate.targets.wire.tensor import Message, Text, tensor
from tests.targets.wire.strategies import only, stacked, tables

X = np.array([[1.5, 2.0], [0.0, -3.25]])


def said(message: Message) -> Any:
    return json.loads(message.body)


@given(tables(), st.sampled_from(get_args(mlflow.Form)))
def test_mlflow_round_trip(x: np.ndarray, form: Any) -> None:
    answer = mlflow.decode_request(mlflow.encode_request(x, form=form))
    read = stacked(answer) if form == "records" else only(answer)
    np.testing.assert_array_equal(read.reshape(x.shape), x)
    message = mlflow.encode_response([tensor("p", x)])
    np.testing.assert_array_equal(only(mlflow.decode_response(message)), x)


def test_what_is_written() -> None:
    rows = X.tolist()
    assert said(mlflow.encode_request(X, columns=["a", "b"])) == {
        "dataframe_split": {"columns": ["a", "b"], "data": rows}
    }
    assert said(mlflow.encode_request(X)) == {"dataframe_split": {"data": rows}}
    assert said(mlflow.encode_request(X, form="records", columns=["a", "b"])) == {
        "dataframe_records": [{"a": 1.5, "b": 2.0}, {"a": 0.0, "b": -3.25}]
    }
    message = mlflow.encode_request(X, form="csv", columns=["a", "b,c"])
    assert message.body == b'a,"b,c"\n1.5,2.0\n0.0,-3.25\n'
    assert message.content_type == "text/csv"
    images = np.zeros((2, 1, 2, 2))
    assert said(mlflow.encode_request(images, form="inputs")) == {"inputs": images.tolist()}
    assert mlflow.form_for((4,)) == "split"
    assert mlflow.form_for((1, 2, 2)) == "inputs"
    with pytest.raises(FormatError, match="table"):
        mlflow.encode_request(images)


def test_answers_old_and_new() -> None:
    body = b'{"predictions": [{"label": "a", "p": [0.1, 0.9]}, {"label": "b", "p": [1, 0]}]}'
    answer = mlflow.decode_response(Message(body, "application/json"))
    assert answer.texts == (Text("label", ("a", "b")),)
    assert only(answer).tolist() == [[0.1, 0.9], [1, 0]]
    assert only(mlflow.decode_response(Message(b"[1, 0]", ""))).tolist() == [1, 0]


def test_questions_that_are_none() -> None:
    with pytest.raises(FormatError, match="none of dataframe_split"):
        mlflow.decode_request(Message(b"{}", "application/json"))
