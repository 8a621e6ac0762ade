"""Each way to copy a model: exact where it must be, legal, repeatable, never beyond its budget."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.attack.domain import Domain
from casemate.attack.extraction.equations import equations
from casemate.attack.extraction.jacobian import jacobian
from casemate.attack.extraction.knockoff import _adjust, _clusters, knockoff
from casemate.attack.extraction.students import learn_linear, learn_network
from casemate.attack.extraction.teacher import Teacher
from casemate.attack.run import run
from casemate.errors import UsageError
from casemate.records.column import Column
from tests.attack.models import Data, linear

THEFTS = ["extraction-equations", "extraction-knockoff", "extraction-jacobian"]


def measure(trial, name):
    return next(m for m in trial.measures if m.name == name).value


def inputs(model, n=400, seed=5):
    x = np.random.default_rng(seed).uniform(0, 1, (n, *model.shape)).astype(np.float32)
    return Data(x, model.labels(x))


@pytest.mark.parametrize(("ident", "fidelity"), zip(THEFTS, (0.99, 0.93, 0.9), strict=True))
def test_a_linear_model_is_copied_and_a_seed_repeats_it(ident, fidelity):
    model = linear((12,), 3, scale=0.5)
    params = {} if ident.endswith("equations") else {"learner": "linear"}
    first, second = (
        run(model, inputs(model, 800), ident, params={**params, "queries": 400}, seed=3)
        for _ in range(2)
    )
    assert first.measures == second.measures
    assert first.series == second.series
    assert first.state == "complete"
    assert measure(first, "fidelity") >= fidelity
    assert first.cost.queries == (20 if ident.endswith("equations") else 400)


@pytest.mark.parametrize("ident", THEFTS)
@pytest.mark.parametrize("budget", [1, 7, 50])
def test_the_budget_is_exact(ident, budget):
    model = linear((6,), 3, scale=0.5)
    model.gives = frozenset({"scores", "labels"})
    params = {"surplus": 100.0} if ident.endswith("equations") else {"learner": "linear"}
    trial = run(model, inputs(model, 200), ident, params=params, budget=budget)
    assert trial.cost.queries == budget
    assert trial.series[0].points[-1][0] == budget


@pytest.mark.parametrize("theft", [equations, knockoff, jacobian])
def test_every_row_sent_is_one_that_its_columns_allow(theft):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 5, (60, 4)).astype(np.float32)
    columns = tuple(
        Column(name=f"c{j}", type="integer", low=0, high=4, mutable=j != 1) for j in range(4)
    )
    model = linear((4,), 2)
    teacher = Teacher(model, 120)
    extra = {
        equations: {"surplus": 24.0},
        knockoff: {"rounds": 3, "kinds": 4, "learner": "linear"},
        jacobian: {"rounds": 3, "step_size": 1.0, "learner": "linear"},
    }[theft]
    domain = Domain(0.0, 4.0, columns)
    copies = list(theft(teacher, x, domain, rng=rng, queries=120, **extra))
    sent, _ = teacher.lessons
    assert domain.holds(sent, sent).all()
    assert copies[-1].queries == teacher.asked == (60 if theft is knockoff else 120)
    if theft is knockoff:  # natural inputs, each once
        assert (
            np.sort(sent.view("f4,f4,f4,f4").ravel()) == np.sort(x.view("f4,f4,f4,f4").ravel())
        ).all()


def test_equations_need_scores_and_no_more_of_them_than_unknowns():
    model = linear((20,), 2, scale=0.5)
    data = inputs(model, 400)
    trial = run(model, data, "extraction-equations", params={"surplus": 1.0})
    assert trial.cost.queries == 21
    assert measure(trial, "fidelity") >= 0.99
    model.gives = frozenset({"labels"})
    with pytest.raises(UsageError, match="needs scores"):
        run(model, data, "extraction-equations")


def test_clusters_are_found_and_what_pays_is_preferred():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(at, 0.1, (30, 2)) for at in (-5, 0, 5)])
    kind = _clusters(x, 12, rng)
    for part in range(3):
        own = set(kind[part * 30 : part * 30 + 30].tolist())
        assert not own & set(np.delete(kind, slice(part * 30, part * 30 + 30)).tolist())
    taste = _adjust(np.zeros(3), np.array([0, 0, 1, 2]), np.array([1.0, 0.8, 0.5, 0.0]))
    assert taste[0] > taste[1] > taste[2]
    assert (_adjust(taste, np.zeros(0, np.int64), np.zeros(0)) == taste).all()


@pytest.mark.parametrize(("learn", "shape"), [
    (learn_linear, (6,)), (learn_network, (6,)), (learn_network, (8, 8, 3)),
])  # fmt: skip
def test_a_step_along_the_slope_raises_the_class(learn, shape):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (200, *shape)).astype(np.float32)
    p = np.eye(3)[x.reshape(200, -1)[:, :3].argmax(axis=1)]
    student = learn(x, p, 0)
    classes = rng.integers(0, 3, 200)
    rows = np.arange(200)
    slope = student.slope(x, classes)
    assert slope.shape == x.shape
    assert set(np.unique(slope)) <= {-1.0, 0.0, 1.0}
    rose = student(x + 0.01 * slope)[rows, classes] >= student(x)[rows, classes]
    assert rose.mean() > 0.97


def test_a_learner_that_is_not_there_is_refused():
    images = linear((1, 4, 4), 2)
    for ident in THEFTS[1:]:
        with pytest.raises(UsageError, match="learner"):
            run(images, inputs(images), ident, params={"learner": "trees"})
