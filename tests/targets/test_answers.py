from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from casemate.errors import TargetError, UsageError
from casemate.targets.answers import Reading, read, sample
from casemate.targets.settings import Settings

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(8, 3))
CHANCES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (LOGITS, Reading("logits", 3)),
        (CHANCES, Reading("probabilities", 3)),
        (CHANCES.astype(np.float16), Reading("probabilities", 3)),
        (np.abs(LOGITS), Reading("logits", 3)),
        (LOGITS[:, :1], Reading("logits", 2, single=True)),
        (LOGITS[:, 0], Reading("logits", 2, single=True)),
        (CHANCES[:, :1], Reading("probabilities", 2, single=True)),
        (LOGITS[:, :, None, None], Reading("logits", 3)),
        (np.eye(8, 3), Reading("logits", 3)),
        (np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]], Reading("probabilities", 3)),
    ],
)
def test_what_answers_are_is_seen(raw: Any, expected: Reading) -> None:
    assert read(raw, 8, Settings())[0] == expected


def test_settings_overrule_what_is_seen() -> None:
    assert read(CHANCES, 8, Settings(scores="logits"))[0].kind == "logits"
    with pytest.raises(UsageError, match="are not"):
        read(LOGITS, 8, Settings(scores="probabilities"))


@pytest.mark.parametrize("raw", [LOGITS[:5], LOGITS[None], np.zeros((8, 0)), np.full((8, 2), "a")])
def test_answers_that_are_no_scores(raw: Any) -> None:
    with pytest.raises(TargetError):
        read(raw, 8, Settings())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite(bad: float) -> None:
    raw = LOGITS.copy()
    raw[3, 1] = bad
    with pytest.raises(TargetError, match="1 of 8 inputs, the first at row 3"):
        read(raw, 8, Settings())
    with pytest.raises(TargetError, match="row 3"):
        Reading("logits", 3).scores(raw, 8)


def test_another_number_of_columns_later_on() -> None:
    with pytest.raises(TargetError, match=r"\(8, 2\) where \(8, 3\)"):
        Reading("logits", 3).scores(LOGITS[:, :2], 8)


@pytest.mark.parametrize(
    "reading",
    [
        Reading("logits", 3),
        Reading("probabilities", 3),
        Reading("logits", 2, single=True),
        Reading("probabilities", 2, single=True),
        Reading("logits", 4, order=(2, 0, 3)),
        Reading("probabilities", 5, order=(4, 1, 0)),
    ],
)
def test_arrays_and_tensors_are_read_alike(reading: Reading) -> None:
    raw = LOGITS if reading.kind == "logits" else CHANCES
    raw = raw[:, :1] if reading.single else raw
    scores = reading.scores(raw, 8)
    logits = reading.tensor(torch.tensor(raw))
    assert scores.shape == logits.shape == (8, reading.classes)
    assert np.array_equal(scores.argmax(1), logits.argmax(1).numpy())
    assert np.array_equal(reading.labels(scores), scores.argmax(1))
    if reading.kind == "probabilities":
        assert np.allclose(scores.sum(1), 1)
        assert np.allclose(logits.softmax(1).numpy(), scores, atol=1e-6)


def test_a_class_without_a_column_never_wins() -> None:
    scores = Reading("logits", 4, order=(2, 0, 3)).scores(LOGITS - 100, 8)
    assert 1 not in scores.argmax(1)


def test_a_threshold_decides_but_leaves_scores_alone() -> None:
    chance = np.array([0.1, 0.5, 0.7, 0.9])
    two = np.stack([1 - chance, chance], 1)
    for threshold in (0.3, 0.7, 0.95):
        by_chance = Reading("probabilities", 2, threshold=threshold)
        by_logits = Reading("logits", 2, threshold=threshold + 1e-9)
        assert np.array_equal(by_chance.scores(two, 4), two)
        assert np.array_equal(by_chance.labels(two), chance >= threshold)
        assert np.array_equal(by_logits.labels(np.log(two)), chance > threshold)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, 2.0])
def test_thresholds_that_cannot_be(threshold: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        read(LOGITS[:, :2], 8, Settings(threshold=threshold))


def test_a_sample_comes_from_the_data_or_the_bounds() -> None:
    given = np.ones((2, 3))
    assert sample(Settings(sample=given), (9,)) is given
    made = sample(Settings(shape=(2, 3), bounds=(-2.0, 5.0)), None)
    assert made.shape == (8, 2, 3)
    assert -2 <= made.min() < 0
    assert 1 < made.max() <= 5
    endless = Settings(bounds=(np.array([-np.inf, 0]), np.array([0, np.inf])))
    assert np.isfinite(sample(endless, (2,))).all()
    with pytest.raises(UsageError, match="not known"):
        sample(Settings(), (0, 3))
