from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from casemate.errors import TargetError, UsageError
from casemate.records.target import Target
from casemate.targets.arrays import build, build_labels, class_order, index_labels
from casemate.targets.settings import Settings

TARGET = Target(kind="model", uri="python:x")
SETTINGS = Settings(sample=np.random.default_rng(0).random((12, 3)))


@pytest.mark.parametrize(
    ("model", "data", "order", "names"),
    [
        ((0, 1, 2), None, (0, 1, 2), None),
        ((1.0, 2.0), None, (1, 2), None),
        ((False, True), None, (0, 1), None),
        ((-1, 1), None, (0, 1), ("-1", "1")),
        ((5_000_000, 6), None, (0, 1), ("5000000", "6")),
        (("b", "a"), None, (0, 1), ("b", "a")),
        (("b", "a"), ("a", "b"), (1, 0), ("a", "b")),
        (("b", "a", "c"), ("a", "b"), (1, 0, 2), ("a", "b", "c")),
        (("a",), ("a", "b"), (0,), ("a", "b")),
        ((-1, 1), ("-1", "1"), (0, 1), ("-1", "1")),
        ((-1.0, 1.0), ("-1", "1"), (0, 1), ("-1", "1")),
        ((0, 1), ("cat", "dog"), (0, 1), ("cat", "dog")),
        ((0, 1, 2), ("cat", "dog"), (0, 1, 2), ("cat", "dog", "2")),
        ((0, 1), ("-1", "1"), (0, 1), ("-1", "1")),
    ],
)
def test_classes_are_matched(model: Any, data: Any, order: Any, names: Any) -> None:
    assert class_order(np.array(model).tolist(), data)[:2] == (order, names)


def test_classes_that_cannot_be_matched() -> None:
    with pytest.raises(UsageError, match="red, white; the data's are cat, dog"):
        class_order(("red", "white"), ("cat", "dog"))
    with pytest.raises(UsageError, match="3 classes, the model 2"):
        class_order((0, 1), ("a", "b", "c"))


def test_labels_by_name_and_number() -> None:
    names: dict[object, int] = {"cat": 1, "dog": 0}
    assert index_labels(np.array(["dog", "cat"]), 2, names).tolist() == [0, 1]
    assert index_labels(np.array([["dog"], ["cat"]], object), 2, names).tolist() == [0, 1]
    assert index_labels(np.array([3.0, 4.0]), 2, {3: 0, 4: 1}).tolist() == [0, 1]
    with pytest.raises(TargetError, match="'cow', which is not one of cat, dog"):
        index_labels(np.array(["cow", "cat"]), 2, names)
    with pytest.raises(TargetError, match=r"shape \(2, 3\) to 2 inputs"):
        index_labels(np.zeros((2, 3)), 2, names)


def test_labels_alone_need_a_number_of_classes() -> None:
    with pytest.raises(UsageError, match="how many classes"):
        build_labels(lambda x: x[:, 0] > 0.5, TARGET, SETTINGS)
    model = build_labels(lambda x: x[:, 0] > 0.5, TARGET, SETTINGS._replace(classes=2))
    assert model.gives == {"labels"}
    assert not hasattr(model, "scores")
    assert model.labels(np.array([[0.1, 0, 0], [0.9, 0, 0]])).tolist() == [0, 1]


def test_what_a_model_raises_becomes_one_line() -> None:
    def ask(x: Any) -> Any:
        raise ValueError("first line\nsecond line")

    with pytest.raises(TargetError, match=r"ValueError: first line$") as caught:
        build(ask, TARGET, SETTINGS)
    assert "(12, 3)" in caught.value.hint


def test_randomness_is_noticed() -> None:
    rng = np.random.default_rng()
    model = build(lambda x: rng.random((len(x), 2)), TARGET, SETTINGS)
    assert model.deterministic is False
    assert any("differently each time" in note for note in model.notes)


def test_a_model_that_answers_another_shape_later_on() -> None:
    model = build(lambda x: np.ones((len(x), 2 if len(x) > 1 else 3)), TARGET, SETTINGS)
    with pytest.raises(TargetError, match=r"\(1, 3\) where \(1, 2\)"):
        model.scores(np.zeros((1, 3)))
