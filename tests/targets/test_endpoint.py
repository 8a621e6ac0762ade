from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casemate.errors import TargetError, UsageError
from casemate.targets.endpoint import Endpoint, ScoredEndpoint, build
from casemate.targets.settings import Settings
from casemate.targets.wire.tensor import Answer, Spec, tensor

if TYPE_CHECKING:
    from casemate.targets.capabilities import Array

SETTINGS = Settings(bounds=(0.0, 9.0), sample=np.ones((8, 3)), batch=5)


def ask(x: Array) -> Answer:
    p = np.stack([x[:, 0], 1 - x[:, 0]], axis=1)
    return Answer((tensor("p", p),))


def test_batches_and_order() -> None:
    sizes: list[int] = []
    names: set[str] = set()

    def noted(x: Array) -> Answer:
        sizes.append(len(x))
        names.add(threading.current_thread().name)
        time.sleep(0.01 * float(x[0, 0]))
        return ask(x)

    model = build("http+json://h", noted, SETTINGS, connections=4)
    assert isinstance(model, ScoredEndpoint)
    sizes.clear()
    names.clear()
    x = np.random.default_rng(0).random((43, 3))
    np.testing.assert_allclose(model.scores(x)[:, 0], x[:, 0])
    assert sorted(sizes) == [3, *[5] * 8]
    assert 1 < len(names) <= 4
    model.close()
    with pytest.raises(TargetError, match="closed"):
        model.scores(x)


def test_a_failure_in_one_batch_is_the_failure_of_all() -> None:
    def failing(x: Array) -> Answer:
        if x[0, 0] > 5:
            raise TargetError("the endpoint broke off", retry=True)
        return ask(x)

    model = build("http+json://h", failing, SETTINGS, connections=3)
    with pytest.raises(TargetError, match="broke off"):
        model.labels(np.arange(60.0).reshape(20, 3))
    model.close()


def test_halves_what_is_too_large() -> None:
    def small(x: Array) -> Answer | None:
        return None if len(x) > 2 else ask(x)

    model = build("http+json://h", small, SETTINGS._replace(sample=np.ones((2, 3))))
    x = np.arange(33.0).reshape(11, 3)
    np.testing.assert_allclose(model.scores(x)[:, 0], x[:, 0])  # type: ignore[attr-defined]
    assert model.batch <= 2
    model = build("http+json://h", lambda x: None if x[0, 0] > 5 else ask(x), SETTINGS)
    with pytest.raises(TargetError, match="even a single input"):
        model.labels(np.full((2, 3), 6.0))
    with pytest.raises(TargetError, match="too large"):
        build("http+json://h", lambda _: None, SETTINGS)


def test_labels_stay_within_the_classes() -> None:
    model = build(
        "http+json://h",
        lambda x: Answer((tensor("p", x[:, 0].astype(np.int64)),)),
        SETTINGS._replace(classes=3),
    )
    assert type(model) is Endpoint
    assert model.gives == {"labels"}
    assert any("labels alone" in note for note in model.notes)
    assert model.labels(np.full((1, 3), 2.0)).tolist() == [2]
    with pytest.raises(TargetError, match="label 3, there are 3 classes"):
        model.labels(np.full((1, 3), 3.0))


def test_how_many_at_once() -> None:
    for batch, single, said, expected in (
        (5, True, None, 1),
        (5, False, Spec("x", "FP32", (2, 3)), 2),
        (5, False, Spec("x", "FP32", (-1, 3)), 5),
        (0, False, None, 1),
    ):
        settings = SETTINGS._replace(batch=batch)
        model = build("http+json://h", ask, settings, expects=said, single=single)
        assert model.batch == expected


def test_what_must_not_be_sent() -> None:
    asked: list[int] = []

    def counting(x: Array) -> Answer:
        asked.append(len(x))
        return ask(x)

    model = build("http+json://h", counting, SETTINGS)
    asked.clear()
    for bad in (np.ones((1, 4)), np.ones(3), np.full((1, 3), np.inf), np.full((1, 3), np.nan)):
        with pytest.raises(TargetError):
            model.labels(bad)
    assert asked == []


def test_a_shape_nobody_knows() -> None:
    with pytest.raises(UsageError, match="shape of the model's inputs is not known"):
        build("http+json://h", ask, Settings())
    said = Spec("x", "FP32", (-1, 3))
    assert build("http+json://h", ask, Settings(), expects=said).shape == (3,)
