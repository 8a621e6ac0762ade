from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import TargetError, UsageError
from casemate.targets.capabilities import Labels, Scores
from casemate.targets.encoding import Encoding
from casemate.targets.open import open_target
from casemate.targets.settings import Settings
from tests.targets.serving import COLUMNS, app, http, probabilities, serve, speak

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

X = np.random.default_rng(1).normal(size=(37, 4))
SETTINGS = Settings(
    bounds=(-8.0, 8.0),
    sample=X[:4],
    encodings=tuple(Encoding(name, "float") for name in COLUMNS),
    batch=10,
)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with serve(app()) as where:
        yield where


@pytest.mark.parametrize(
    "uri",
    [
        "http+oip://{}/v2/models/iris",
        "http+oip://{}/v2/models/iris/infer#output=probabilities",
        "http+oip-binary://{}/v2/models/iris",
        "http+tfserving://{}/v1/models/iris",
        "http+tfserving://{}/v1/models/iris:predict#form=columns",
        "http+tfserving://{}/v1/models/iris#input=dense",
        "http+tfserving://{}/v1/models/iris#input=dense&form=columns",
        "http+tfserving://{}/v1/models/iris#columns=" + ",".join(COLUMNS).replace(" ", "%20"),
        "http+mlflow://{}",
        "http+mlflow://{}/invocations#form=split",
        "http+mlflow://{}/invocations#form=records",
        "http+mlflow://{}/invocations#form=inputs",
        "http+mlflow://{}/invocations#form=instances",
        "http+mlflow://{}/invocations#form=csv",
        "http+sagemaker://{}/sagemaker/invocations",
        "http+sagemaker://{}/sagemaker/invocations#form=instances",
        "http+sagemaker://{}/sagemaker/invocations#form=features",
        "http+sagemaker://{}/sagemaker/invocations#form=list",
        "http+sagemaker://{}/sagemaker/invocations#form=jsonlines",
        "http+sagemaker://{}/sagemaker/invocations#form=npy",
    ],
)
def test_scores_are_the_servers_own(host: str, uri: str) -> None:
    model = open_target(uri.format(host), settings=SETTINGS)
    try:
        assert model.target.kind == "endpoint"
        assert model.target.uri == uri.format(host)
        assert model.gives == {"scores", "labels"}
        assert isinstance(model, Scores)
        assert model.kind == "probabilities"
        assert (model.classes, model.shape, model.deterministic) == (3, (4,), True)
        assert (model.lower, model.upper) == (-8.0, 8.0)
        np.testing.assert_allclose(model.scores(X), probabilities(X), rtol=1e-6)
        np.testing.assert_array_equal(model.labels(X), probabilities(X).argmax(1))
        assert model.scores(X[:0]).shape == (0, 3)
    finally:
        model.close()
        model.close()


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"model": "iris", "row": "$input"}, "result.scores"),
        ({"model": "iris", "rows": "$inputs"}, "result[*].p"),
        ({"model": "iris", "rows": "$records"}, "result[*].p"),
    ],
)
def test_templates(host: str, tmp_path: Path, body: object, answer: str) -> None:
    (tmp_path / "body.json").write_text(json.dumps(body))
    uri = f"http+json://{host}/json#template=body.json&answer={answer}"
    model = open_target(uri, settings=SETTINGS._replace(root=tmp_path))
    assert isinstance(model, Scores)
    np.testing.assert_allclose(model.scores(X), probabilities(X), rtol=1e-6)
    model.close()


def test_columns_are_sent_as_the_data_file_had_them() -> None:
    seen: list[object] = []

    def answer(_: int, request: bytes) -> bytes:
        body = json.loads(request.partition(b"\r\n\r\n")[2])["dataframe_split"]
        seen.append(body)
        return http("200 OK", json.dumps({"predictions": ["no", "yes"]}).encode())

    settings = Settings(
        bounds=(0.0, 9.0),
        sample=np.array([[1.5, 2.0, 1.0, 0.0], [0.5, 3.0, 0.0, 1.0]]),
        encodings=(
            Encoding("income", "float"),
            Encoding("rooms", "integer"),
            Encoding("owner", "boolean"),
            Encoding("colour", "string", ("blue", "red")),
        ),
        class_names=("no", "yes"),
    )
    with speak(answer) as host:
        model = open_target(f"http+mlflow://{host}/invocations", settings=settings)
        assert model.gives == {"labels"}
        assert not isinstance(model, Scores)
        assert isinstance(model, Labels)
        assert model.labels(settings.sample).tolist() == [0, 1]
        model.close()
    assert seen[0] == {
        "columns": ["income", "rooms", "owner", "colour"],
        "data": [[1.5, 2, True, "blue"], [0.5, 3, False, "red"]],
    }


@pytest.mark.parametrize(
    ("predictions", "settings", "gives", "labels"),
    [
        ([2, 0], Settings(classes=3), {"labels"}, [2, 0]),
        ([1.0, 0.0], Settings(classes=2), {"labels"}, [1, 0]),
        ([3, 1], Settings(class_names=("1", "2", "3")), {"labels"}, [2, 0]),
        (["b", "a"], Settings(class_names=("a", "b")), {"labels"}, [1, 0]),
        ([0.75, 0.25], Settings(), {"scores", "labels"}, [1, 0]),
        ([0.75, 0.25], Settings(threshold=0.8), {"scores", "labels"}, [0, 0]),
        ([[1], [-1]], Settings(scores="logits"), {"scores", "labels"}, [1, 0]),
        ([[1, 0], [0, 1]], Settings(), {"scores", "labels"}, [0, 1]),
        ([[5.5, -2], [0, 1]], Settings(), {"scores", "labels"}, [0, 1]),
        (
            [{"yes": 0.9, "no": 0.1}, {"yes": 0.2, "no": 0.8}],
            Settings(class_names=("no", "yes")),
            {"scores", "labels"},
            [1, 0],
        ),
        (
            [{"predicted_label": 1, "score": 0.9}, {"predicted_label": 0, "score": 0.2}],
            Settings(),
            {"scores", "labels"},
            [1, 0],
        ),
        ({"label": [1, 0], "probs": [[0.1, 0.9], [0.7, 0.3]]}, Settings(), None, [1, 0]),
    ],
)
def test_what_an_answer_means(
    predictions: object, settings: Settings, gives: set[str] | None, labels: list[int]
) -> None:
    body = json.dumps({"predictions": predictions}).encode()
    with speak(lambda _, __: http("200 OK", body)) as host:
        sample = np.zeros((2, 4))
        model = open_target(
            f"http+mlflow://{host}/invocations", settings=settings._replace(sample=sample)
        )
        assert model.gives == (gives or {"scores", "labels"})
        assert isinstance(model, Labels)
        assert model.labels(sample).tolist() == labels
        model.close()


@pytest.mark.parametrize(
    ("predictions", "settings", "error", "text"),
    [
        ([2, 0], Settings(), UsageError, "how many classes"),
        (["b", "a"], Settings(), UsageError, "class names such as 'b'"),
        (["b", "c"], Settings(class_names=("a", "b")), TargetError, "the class 'c'"),
        ([0.1], Settings(), TargetError, r"predictions \[1\] to 2 inputs"),
        ([[0.1, 0.9], [None, 0.5]], Settings(), TargetError, "null"),
        ([[[1, 2], [1, 2]]] * 2, Settings(), TargetError, "to 2 inputs"),
        ([[0.1, 0.9], [0.5]], Settings(), TargetError, "unequal length"),
        ([[0.1, 0.9], ["a", 0.5]], Settings(), TargetError, "str"),
        ([[0.1, 0.9]] * 2, Settings(classes=3), UsageError, "3 classes"),
        ({"a": 1}, Settings(output="nothing"), UsageError, "no output 'nothing'"),
        ({}, Settings(), TargetError, "without any output"),
    ],
)
def test_answers_that_are_none(
    predictions: object, settings: Settings, error: type[Exception], text: str
) -> None:
    body = json.dumps({"predictions": predictions}).encode()
    with speak(lambda _, __: http("200 OK", body)) as host:
        with pytest.raises(error, match=text) as caught:
            open_target(
                f"http+mlflow://{host}/invocations",
                settings=settings._replace(sample=np.zeros((2, 4))),
            )
        assert "\n" not in str(caught.value)


def test_shape_from_metadata_without_data(host: str) -> None:
    for uri in (f"http+oip://{host}/v2/models/iris", f"http+tfserving://{host}/v1/models/iris"):
        model = open_target(uri, settings=Settings(bounds=(-1.0, 1.0)))
        assert model.shape == (4,)
        model.close()
    with pytest.raises(UsageError, match="shape of the model's inputs is not known"):
        open_target(f"http+mlflow://{host}", settings=Settings(bounds=(-1.0, 1.0)))


def test_images_are_reshaped_to_what_the_metadata_says(host: str) -> None:
    square = X.reshape(-1, 1, 2, 2)
    model = open_target(
        f"http+oip://{host}/v2/models/iris", settings=SETTINGS._replace(sample=square[:3])
    )
    assert model.shape == (1, 2, 2)
    np.testing.assert_allclose(model.scores(square), probabilities(X), rtol=1e-6)  # type: ignore[attr-defined]
    model.close()
    with pytest.raises(UsageError, match=r"the model takes inputs of \[4\], the data's are \[5\]"):
        open_target(
            f"http+oip://{host}/v2/models/iris",
            settings=SETTINGS._replace(sample=np.zeros((2, 5))),
        )


def test_unknown_model_and_path(host: str) -> None:
    with pytest.raises(TargetError, match="404") as caught:
        open_target(f"http+oip://{host}/v2/models/other", settings=SETTINGS)
    assert "model's name" in caught.value.hint
    assert not caught.value.retry
    with pytest.raises(UsageError, match="names no model"):
        open_target(f"http+oip://{host}/", settings=SETTINGS)


def test_whole_number_models_need_their_own_bounds() -> None:
    metadata = {"name": "m", "inputs": [{"name": "x", "datatype": "UINT8", "shape": [-1, 4]}]}
    reply = http("200 OK", json.dumps(metadata).encode())
    with speak(lambda _, __: reply) as host, pytest.raises(UsageError, match="UINT8"):
        open_target(
            f"http+oip://{host}/v2/models/m",
            settings=Settings(bounds=(0.0, 1.0), sample=np.zeros((2, 4))),
        )


def test_inputs_that_must_not_be_sent(host: str) -> None:
    model = open_target(f"http+oip://{host}/v2/models/iris", settings=SETTINGS)
    assert isinstance(model, Labels)
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(TargetError, match="nothing was sent"):
        model.labels(bad)
    with pytest.raises(TargetError, match="the endpoint takes"):
        model.labels(X[:, :3])
    model.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets one acknowledge at once")
def test_head_and_body_in_two_packets_cost_no_delay(host: str) -> None:
    model = open_target(f"http+oip://{host}/v2/models/iris", settings=SETTINGS)
    assert isinstance(model, Labels)
    start = time.monotonic()
    for _ in range(50):
        model.labels(X[:1])
    assert time.monotonic() - start < 50 * 0.03
    model.close()


def test_unsteady_endpoints_are_said_to_be() -> None:
    def answer(k: int, _: bytes) -> bytes:
        rows = [[0.5 + k / 10, 0.5 - k / 10]] * 2
        return http("200 OK", json.dumps({"predictions": rows}).encode())

    with speak(answer) as host:
        model = open_target(f"http+mlflow://{host}", settings=Settings(sample=np.zeros((2, 4))))
        assert model.deterministic is False
        assert any("differently" in note for note in model.notes)  # type: ignore[attr-defined]
        model.close()
