from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from casemate.errors import UsageError
from casemate.targets import address
from casemate.targets.capabilities import Scores
from casemate.targets.encoding import Encoding
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from casemate.targets.shaping import columns_of, fit, one_row, values_of
from casemate.targets.wire.tensor import Answer, Spec, tensor
from tests.targets.serving import http, speak

X = np.arange(12.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("given", "said", "expected"),
    [
        ((3, 4), None, (3, 4)),
        ((3, 4), (-1, 4), (3, 4)),
        ((3, 4), (-1, -1), (3, 4)),
        ((3, 4), (-1, 2, 2), (3, 2, 2)),
        ((3, 4), (-1, 1, -1, 2), (3, 1, 2, 2)),
        ((3, 1, 2, 2), (-1, 4), (3, 4)),
        ((3, 1, 2, 2), (-1, -1), (3, 4)),
        ((3, 1), (-1,), (3,)),
    ],
)
def test_fit(
    given: tuple[int, ...], said: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    x = np.zeros(given)
    assert fit(x, Spec("x", "FP32", said)).shape == expected
    assert fit(x, None) is x


@pytest.mark.parametrize("said", [(-1, 5), (-1, 3, -1), (-1, -1, -1), (-1, 0, -1)])
def test_what_does_not_fit(said: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="the model takes inputs of"):
        fit(X, Spec("x", "FP32", said))


def test_values_and_columns() -> None:
    encodings = (Encoding("a", "float"), Encoding("b", "string", ("x", "y")))
    settings = Settings(encodings=encodings)
    rows = values_of(np.array([[0.5, 1.0], [1.5, 0.0]]), settings)
    assert rows.tolist() == [[0.5, "y"], [1.5, "x"]]
    assert values_of(X, settings) is X
    at = address.read("http+mlflow://host")
    assert columns_of(settings, at) == ("a", "b")
    assert columns_of(Settings(), at) == ()
    at = address.read("http+mlflow://host#columns=p%20q,%20r")
    assert columns_of(settings, at) == ("p q", "r")


def test_one_row() -> None:
    for array in (np.array(0.5), np.array([0.5, 0.5]), np.array([[0.5, 0.5]])):
        (one,) = one_row(Answer((tensor("p", array),))).tensors
        assert one.array.shape[0] == 1


def _oip(inputs: list[dict[str, object]], seen: list[dict[str, object]]) -> object:
    def answer(_: int, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"GET"):
            return http("200 OK", json.dumps({"name": "m", "inputs": inputs}).encode())
        seen.append(json.loads(body))
        n = seen[-1]["inputs"][0]["shape"][0]  # type: ignore[index]
        out = {"name": "p", "shape": [n, 2], "datatype": "FP32", "data": [0.25, 0.75] * n}
        return http("200 OK", json.dumps({"outputs": [out]}).encode())

    return answer


def test_one_tensor_per_column() -> None:
    inputs: list[dict[str, object]] = [
        {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "income", "datatype": "FP32", "shape": [-1]},
    ]
    seen: list[dict[str, object]] = []
    settings = Settings(bounds=(0.0, 99.0), sample=np.array([[41.0, 2.5]]))
    with speak(_oip(inputs, seen)) as host:  # type: ignore[arg-type]
        model = open_target(f"http+oip://{host}/v2/models/m", settings=settings)
        assert isinstance(model, Scores)
        assert model.scores(np.array([[41.0, 2.5]])).tolist() == [[0.25, 0.75]]
        model.close()
        with pytest.raises(UsageError, match="2 inputs, the data"):
            open_target(
                f"http+oip://{host}/v2/models/m",
                settings=settings._replace(sample=np.zeros((1, 3))),
            )
        with pytest.raises(UsageError, match="no input 'other'"):
            open_target(f"http+oip://{host}/v2/models/m#input=other", settings=settings)
    assert seen[0]["inputs"] == [
        {"name": "age", "shape": [1, 1], "datatype": "INT64", "data": [41]},
        {"name": "income", "shape": [1], "datatype": "FP32", "data": [2.5]},
    ]


def test_a_fixed_batch_is_kept_to() -> None:
    inputs: list[dict[str, object]] = [{"name": "x", "datatype": "FP32", "shape": [1, 4]}]
    seen: list[dict[str, object]] = []
    with speak(_oip(inputs, seen)) as host:  # type: ignore[arg-type]
        model = open_target(
            f"http+oip://{host}/v2/models/m", settings=Settings(bounds=(0.0, 9.0), sample=X)
        )
        assert isinstance(model, Scores)
        assert model.scores(X).shape == (3, 2)
        model.close()
    assert {one["shape"][0] for asked in seen for one in asked["inputs"]} == {1}  # type: ignore[attr-defined]


def test_half_precision_travels_in_binary() -> None:
    seen: list[bytes] = []

    def answer(_: int, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"GET"):
            said = {"name": "x", "datatype": "FP16", "shape": [-1, 2]}
            return http("200 OK", json.dumps({"name": "m", "inputs": [said]}).encode())
        seen.append(body)
        out = {"name": "p", "shape": [1, 2], "datatype": "BF16"}
        text = json.dumps({"outputs": [{**out, "parameters": {"binary_data_size": 4}}]}).encode()
        raw = struct.pack("<HH", 0x3E80, 0x3F40)
        length = f"Inference-Header-Content-Length: {len(text)}"
        return http("200 OK", text + raw, length, "Content-Type: application/octet-stream")

    settings = Settings(bounds=(0.0, 9.0), sample=np.array([[1.0, 2.0]]))
    with speak(answer) as host:
        model = open_target(f"http+oip-binary://{host}/v2/models/m", settings=settings)
        assert isinstance(model, Scores)
        assert model.scores(np.array([[1.0, 2.0]])).tolist() == [[0.25, 0.75]]
        model.close()
    assert seen[0].endswith(b"\x00\x3c\x00\x40")


def test_large_inputs_go_in_small_batches() -> None:
    body = json.dumps({"predictions": [[0.25, 0.75]]}).encode()
    with speak(lambda _, __: http("200 OK", body)) as host:
        model = open_target(
            f"http+mlflow://{host}", settings=Settings(sample=np.zeros((1, 3, 600, 600)))
        )
        assert model.batch == 1  # type: ignore[attr-defined]
        model.close()
