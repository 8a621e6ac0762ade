from __future__ import annotations

import json

import numpy as np
import pytest

from casemate.errors import FormatError
from casemate.targets.wire import mlflow, predictions, tfserving
from casemate.targets.wire.tensor import Message, Text, tensor


def test_rows_of_objects_and_objects_of_rows() -> None:
    for body in (
        b'[{"label": "a", "p": [0.5, 0.5]}, {"label": "b", "p": [1, 0]}]',
        b'{"label": ["a", "b"], "p": [[0.5, 0.5], [1, 0]]}',
    ):
        answer = predictions.decode(body)
        assert answer.texts == (Text("label", ("a", "b")),)
        assert [one.name for one in answer.tensors] == ["p"]
        assert answer.tensors[0].array.tolist() == [[0.5, 0.5], [1, 0]]


def test_parts_nested_further_are_left_out() -> None:
    answer = predictions.decode(b'[{"p": 1, "why": {"a": 2}}, {"p": 0, "why": {"a": 3}}]')
    assert [one.name for one in answer.tensors] == ["p"]


def test_rows_of_objects_are_written_for_several_tensors() -> None:
    x = np.array([1, 2])
    assert predictions.encode([tensor("p", x)]) == [1, 2]
    expected = [{"p": 1, "q": 1}, {"p": 2, "q": 2}]
    assert predictions.encode([tensor("p", x), tensor("q", x)]) == expected


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
