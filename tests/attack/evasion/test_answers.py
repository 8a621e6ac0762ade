"""What the target answers, whichever way it can be asked."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.evasion.answers import ask, ask_often, wavers
from casemate.errors import TargetError
from tests.attack.models import TorchModel, linear, near_boundary


@pytest.mark.parametrize("threshold", [None, 0.7])
def test_scores_labels_and_logits_decide_alike(threshold):
    model = linear((6,), 2)
    model.threshold = threshold
    data = near_boundary(model, 40, spread=0.4)
    answers = []
    for gives in (("scores",), ("labels",), ("gradients",)):
        model.gives = frozenset(gives)
        answers.append(ask(model, data.x, data.y, threshold))
    by_scores, by_labels, by_logits = answers
    assert by_scores.label.tolist() == by_labels.label.tolist() == by_logits.label.tolist()
    assert by_labels.margin is None
    assert by_scores.margin == pytest.approx(by_logits.margin)
    assert ((by_scores.margin < 0) == (by_scores.label != data.y)).all()


def test_probabilities_are_compared_with_the_threshold_itself():
    class Certain(TorchModel):
        kind = "probabilities"

        def scores(self, x):
            return np.column_stack([1 - x[:, 0], x[:, 0]])

    model = Certain(linear((1,), 2).module, (1,), 2)
    x = np.array([[0.2], [0.29], [0.31], [0.9]])
    answer = ask(model, x, np.array([0, 0, 1, 1]), 0.3)
    assert answer.label.tolist() == [0, 0, 1, 1]
    assert answer.positive == pytest.approx(x[:, 0])
    assert (answer.margin > 0).all()


def test_answers_of_a_wrong_shape_are_refused():
    class Odd(TorchModel):
        def scores(self, x):
            return np.zeros((len(x), 7))

        def labels(self, x):
            return np.zeros((len(x), 2))

    data = near_boundary(linear((6,), 3), 4)
    for gives, message in (("scores", r"shape \(4, 7\)"), ("labels", r"shape \(4, 2\)")):
        with pytest.raises(TargetError, match=message):
            ask(Odd(linear((6,), 3).module, (6,), 3, gives=(gives,)), data.x, data.y, None)


def test_nothing_asked_is_nothing_answered():
    model = linear((6,), 3)
    assert len(ask(model, np.zeros((0, 6), np.float32), np.zeros(0, int), None).label) == 0


def test_randomness_is_noticed_and_outvoted():
    class Noisy(TorchModel):
        def scores(self, x):
            return super().scores(x) + rng.normal(size=(len(x), self.classes)) * 0.1

    rng = np.random.default_rng(0)
    steady = linear((6,), 3)
    data = near_boundary(steady, 60, spread=0.4)
    noisy = Noisy(steady.module, (6,), 3)
    assert wavers(noisy, data.x, data.y, None, "cpu")
    assert not wavers(steady, data.x, data.y, None, "cpu")
    wrong = (data.y + 1) % 3
    assert (ask_often(noisy, data.x, data.y, None, "cpu").label == data.y).mean() > 0.9
    assert (ask_often(noisy, data.x, wrong, None, "cpu").label != wrong).mean() > 0.9
