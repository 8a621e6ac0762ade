"""Extraction: a linear model is copied almost exactly, budgets are exact, failures are named."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

from casemate.attack.domain import Domain
from casemate.attack.extraction.run import FEWEST
from casemate.attack.extraction.students import choose, learn_linear, learners
from casemate.attack.extraction.surrogate import surrogate
from casemate.attack.extraction.teacher import Teacher
from casemate.attack.run import run
from casemate.errors import BudgetSpent, TargetError, UsageError
from casemate.records.column import Column
from tests.attack.models import Data, linear
from tests.attack.test_tabular import Table

DIGEST = "sha256:" + "0" * 64


def measure(trial, name):
    return next(m for m in trial.measures if m.name == name)


def inputs(model, n=400, seed=5):
    x = np.random.default_rng(seed).uniform(0, 1, (n, *model.shape)).astype(np.float32)
    return Data(x, model.labels(x))


@pytest.mark.parametrize("gives", [("scores", "labels"), ("labels",)])
def test_a_linear_model_is_copied(gives):
    model = linear((12,), 3, scale=0.5)
    model.gives = frozenset(gives)
    trial = run(model, inputs(model, 600), "extraction-surrogate", params={"learner": "linear"})
    assert trial.family == "extraction"
    assert trial.state == "complete"
    assert trial.robust is None
    found = measure(trial, "fidelity")
    assert found.value >= 0.98
    assert found.low <= found.value <= found.high
    assert found.n == 300
    assert measure(trial, "fidelity-by-guessing").value < 0.6
    (curve,) = trial.series
    assert [x for x, _ in curve.points] == [63, 125, 250, 500, 1000]
    assert curve.points[-1][1] == found.value
    assert trial.cost.queries == 1000


def test_scores_give_a_linear_model_away_in_a_few_more_queries_than_unknowns():
    model = linear((20,), 2, scale=0.5)
    data = inputs(model, 600)
    params = {"rounds": 1, "learner": "linear"}
    trial = run(model, data, "extraction-surrogate", params=params, budget=30)
    assert trial.cost.queries == 30
    assert measure(trial, "fidelity").value >= 0.99


@settings(max_examples=25, deadline=None)
@given(budget=st.integers(1, 90), rounds=st.integers(1, 6), soft=st.booleans())
def test_the_budget_is_exact(budget, rounds, soft):
    model = linear((4,), 3, scale=0.5)
    model.gives = frozenset({"scores", "labels"} if soft else {"labels"})
    x = inputs(model, 40).x
    sent = []
    for name in ("scores", "labels"):
        ask = getattr(model, name)
        setattr(model, name, lambda x, ask=ask: sent.append(len(x)) or ask(x))
    teacher = Teacher(model, budget)
    copies = list(
        surrogate(
            teacher,
            x,
            Domain(0.0, 1.0),
            rng=np.random.default_rng(0),
            queries=10_000,
            rounds=rounds,
            doubt=0.5,
            learner="linear",
        )
    )
    assert teacher.asked == copies[-1].queries == budget
    if soft:
        assert sum(sent) == budget
    with pytest.raises(BudgetSpent):
        teacher.ask(x[:1])


def test_a_forest_is_copied_with_rows_that_its_columns_allow():
    x, y = load_breast_cancer(return_X_y=True)
    x = np.rint(x)
    columns = tuple(
        Column(name=f"c{j}", type="integer", low=float(x[:, j].min()), high=float(x[:, j].max()))
        for j in range(30)
    )
    forest = RandomForestClassifier(20, random_state=0).fit(x[:200], y[:200])
    model = Table(forest, columns)
    data = Data(x[200:], y[200:], -np.inf, np.inf, columns)
    ask, seen = model.scores, []
    model.scores = lambda some: seen.append(some) or ask(some)
    trial = run(model, data, "extraction-surrogate", params={"queries": 400, "learner": "trees"})
    assert measure(trial, "fidelity").value >= 0.93
    sent = np.concatenate(seen)
    assert Domain(-np.inf, np.inf, columns).holds(sent, sent).all()


def test_a_network_copies_images_and_repeats_itself():
    model = linear((1, 8, 8), 3, scale=0.5)
    data = inputs(model, 120)
    params = {"queries": 60, "rounds": 1, "learner": "network"}
    first, second = (run(model, data, "extraction-surrogate", params=params) for _ in range(2))
    assert first.measures == second.measures
    assert first.series == second.series
    assert measure(first, "fidelity").value > measure(first, "fidelity-by-guessing").value


def test_the_threshold_of_the_target_is_what_is_copied():
    model = linear((6,), 2, scale=2.0)
    model.threshold = 0.9
    data = inputs(model, 400)
    odds = model.scores(data.x)
    decided = (odds[:, 1] - odds[:, 0] >= np.log(9)).astype(np.int64)
    teacher = Teacher(model, 400)
    teacher.ask(data.x)
    assert (teacher.lessons[1].argmax(axis=1) == decided).all()


def test_the_learner_that_agrees_most_is_taken():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (300, 3))
    boxes = np.eye(2)[((x[:, 0] > 0.5) ^ (x[:, 1] > 0.5)).astype(int)]
    known = {name: learn for name, learn in learners((3,)).items() if name != "network"}
    assert choose(x, boxes, known, 0, rng)[0] == "trees"
    line = learn_linear(x, np.eye(2)[(x @ [1, 2, 3] > 3).astype(int)], 0)
    assert (line(x).argmax(axis=1) == (x @ [1, 2, 3] > 3)).mean() > 0.97


def test_a_target_that_fails_half_way_leaves_what_was_learnt():
    model = linear((4,), 2, scale=0.5)
    data = inputs(model, 200)
    calls = []
    ask = model.scores

    def scores(x):
        calls.append(len(x))
        if sum(calls) > 400:
            raise TargetError("the endpoint is gone")
        return ask(x)

    model.scores = scores
    trial = run(model, data, "extraction-surrogate", params={"learner": "linear"})
    assert trial.state == "failed"
    assert measure(trial, "fidelity").value is not None
    assert any("endpoint is gone" in note for note in trial.notes)


def test_interrupts_and_deadlines_keep_what_was_found():
    model = linear((4,), 2, scale=0.5)
    data = inputs(model, 200)

    def stop(what, done, total):
        if done > 100:
            raise KeyboardInterrupt

    params = {"learner": "linear"}
    trial = run(model, data, "extraction-surrogate", params=params, progress=stop)
    assert trial.state == "interrupted"
    assert trial.series[0].points
    late = run(model, data, "extraction-surrogate", params=params, deadline=time.monotonic() - 1)
    assert late.state == "budget-spent"
    assert measure(late, "fidelity").value is None
    assert late.cost.queries == 0


def test_what_cannot_be_is_refused():
    model = linear((4,), 2)
    data = inputs(model, 200)
    images = linear((1, 4, 4), 2)
    with pytest.raises(UsageError, match="too few"):
        run(
            model,
            data._replace(x=data.x[: 2 * FEWEST - 1], y=data.y[: 2 * FEWEST - 1]),
            "extraction-surrogate",
        )
    with pytest.raises(UsageError, match="allows nothing"):
        run(model, data, "extraction-surrogate", budget=0)
    with pytest.raises(UsageError, match="no learner 'trees'"):
        run(images, inputs(images), "extraction-surrogate", params={"learner": "trees"})
