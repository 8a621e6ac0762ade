"""Label flips: many hurt, none do nothing, chosen ones hurt more."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from casemate.attack.findings import findings_of
from casemate.attack.poisoning.label_flip import CHOICES
from casemate.attack.poisoning.run import FEWEST
from casemate.attack.poisoning.training import labeller, trainer
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.errors import TargetError, UsageError
from casemate.records.target import Target
from casemate.targets.settings import Settings
from casemate.targets.sklearn import wrap
from tests.attack.models import Data, linear

ID = "poisoning-label-flip"


def blobs(n=240, d=4, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    return Data(rng.normal(size=(n, d)) + 2.2 * y[:, None], y.astype(np.int64), -np.inf, np.inf)


def logistic(x, y):
    return LogisticRegression(C=1.0).fit(x, y)


def target():
    return linear((4,), 2)


def drop(trial, name="accuracy-drop"):
    return next(m for m in trial.measures if m.name == name)


def test_many_flips_hurt_and_none_do_nothing():
    data = blobs()
    params = {"choice": "random", "rate": 0.45}
    hurt = run(
        target(), data, ID, params=params, train=lambda x, y: KNeighborsClassifier(1).fit(x, y)
    )
    assert hurt.state == "complete"
    assert hurt.clean.value > 0.9
    assert drop(hurt).low > 0.2
    assert hurt.robust.value == pytest.approx(hurt.clean.value - drop(hurt).value)
    assert [round(rate, 3) for rate, _ in hurt.series[0].points] == [0, 0.045, 0.135, 0.45]
    assert len(findings_of(hurt, loader.entry("attacks", ID, Attack))) == 1

    none = run(target(), data, ID, params={"choice": "random", "rate": 0.0}, train=logistic)
    assert drop(none).value == 0
    assert none.clean == none.robust
    assert not findings_of(none, loader.entry("attacks", ID, Attack))


def test_the_worst_choice_hurts_more_than_chance():
    data = blobs(400)
    by = {
        choice: run(target(), data, ID, params={"choice": choice, "rate": 0.2}, train=logistic)
        for choice in ("random", "worst")
    }
    assert drop(by["worst"]).value > drop(by["random"]).value + 0.02
    assert any("were chosen by" in note for note in by["worst"].notes)
    assert any("the user's own code" in note for note in by["worst"].notes)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("classes", [2, 4])
def test_a_choice_flips_distinct_rows_to_false_labels(choice, classes):
    rng = np.random.default_rng(1)
    y = np.sort(rng.integers(0, classes, 120))
    x = rng.normal(size=(120, 3)) + y[:, None]
    for count in (0, 1, 12):
        rows, false = CHOICES[choice](x, y, count, np.random.default_rng(0))
        assert len(rows) == len(set(rows.tolist())) == count
        assert (false != y[rows]).all()
        assert set(false.tolist()) <= set(range(classes))


def test_a_fitted_estimator_is_its_own_training_function():
    data = blobs()
    names = np.array(["no", "yes"])
    fitted = LogisticRegression().fit(data.x, names[data.y])
    model = wrap(
        fitted,
        Target(kind="model", uri="sklearn:model.joblib"),
        Settings(bounds=(-np.inf, np.inf), sample=data.x[:8], class_names=("no", "yes")),
    )
    trial = run(model, data, ID, params={"choice": "random", "repeats": 1})
    assert trial.clean.value > 0.9
    assert trial.inputs == 80
    np.testing.assert_array_equal(fitted.predict(data.x[:9]), names[model.labels(data.x[:9])])


def test_the_training_function_is_found_in_a_file(tmp_path):
    (tmp_path / "train.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n"
        "def train(x, y):\n    return LogisticRegression().fit(x, y)\n"
    )
    params = {"choice": "random", "repeats": 1}
    trial = run(target(), blobs(), ID, params=params, train="train.py:train", root=tmp_path)
    assert trial.clean.value > 0.9
    for wrong in ("train.py:trian", "nothing.py:train", "train.py"):
        with pytest.raises(UsageError):
            run(target(), blobs(), ID, params=params, train=wrong, root=tmp_path)


def test_whatever_the_training_function_returns_can_label():
    x = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    net = torch.nn.Linear(4, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[-1.0, 0, 0, 0], [1.0, 0, 0, 0]]))
        net.bias.zero_()
    for made in (
        net,
        lambda x: (x[:, 0] > 0).astype(float),
        lambda x: np.stack([-x[:, 0], x[:, 0]], axis=1),
        lambda x: net(torch.as_tensor(x)),
        LogisticRegression(C=1e6).fit(x, y),
    ):
        np.testing.assert_array_equal(labeller(made, "train")(x), y)
    with pytest.raises(UsageError, match="cannot label"):
        labeller(3, "train")
    with pytest.raises(TargetError, match="shape"):
        labeller(lambda x: np.zeros((3, 3, 3)), "train")(x)


def test_failing_training_is_one_line_and_keeps_whole_folds():
    calls = []

    def train(x, y):
        calls.append(1)
        if len(calls) > 6:
            raise ValueError("out of\nmemory")
        return logistic(x, y)

    params = {"choice": "random", "rate": 0.3}
    trial = run(target(), blobs(), ID, params=params, train=train)
    assert trial.state == "failed"
    assert trial.inputs == 80
    assert any("raised ValueError: out of" in note for note in trial.notes)
    with pytest.raises(TargetError, match="raised ValueError"):
        run(target(), blobs(), ID, params=params, train=train)
    with pytest.raises(UsageError, match="training function"):
        trainer(target(), None, None)


def test_a_deadline_or_interrupt_between_trainings_keeps_what_was_measured():
    params = {"choice": "random"}
    late = run(target(), blobs(), ID, params=params, train=logistic, deadline=time.monotonic() - 1)
    assert late.state == "budget-spent"
    assert late.clean.value is None
    assert late.robust.value is None

    def stop(what, done, total):
        assert total == 12
        if done == 5:
            raise KeyboardInterrupt

    trial = run(target(), blobs(), ID, params=params, train=logistic, progress=stop)
    assert trial.state == "interrupted"
    assert trial.inputs == 80


def test_too_little_data_is_refused():
    data = blobs(FEWEST - 1)
    with pytest.raises(UsageError, match="too few"):
        run(target(), data, ID, train=logistic)
    one = blobs(60)
    with pytest.raises(UsageError, match="1 classes"):
        run(target(), one._replace(y=one.y * 0), ID, train=logistic)
