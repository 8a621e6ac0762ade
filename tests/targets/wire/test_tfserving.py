from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.errors import FormatError
from casemate.targets.wire import tfserving
from casemate.targets.wire.tensor import Message, tensor
from tests.targets.wire.strategies import only, stacked, tables

X = np.array([[1.5, 2.0], [0.0, -3.25]])


def said(message: Message) -> Any:
    return json.loads(message.body)


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


def test_what_is_written() -> None:
    rows = X.tolist()
    assert said(tfserving.encode_request(X, signature="s")) == {
        "signature_name": "s",
        "instances": rows,
    }
    assert said(tfserving.encode_request(X, columnar=True)) == {"inputs": rows}
    assert said(tfserving.encode_request(X, name="d")) == {
        "instances": [{"d": rows[0]}, {"d": rows[1]}]
    }


def test_several_outputs() -> None:
    body = b'{"outputs": {"label": [3, 4], "p": [[0.5], [0.25]]}}'
    answer = tfserving.decode_response(Message(body, "application/json"))
    assert [one.name for one in answer.tensors] == ["label", "p"]


def test_neither_predictions_nor_outputs() -> None:
    with pytest.raises(FormatError, match="no predictions"):
        tfserving.decode_response(Message(b'{"error": "x"}', "application/json"))


def test_metadata() -> None:
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
