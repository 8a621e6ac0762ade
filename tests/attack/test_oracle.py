"""The oracle: exact counts, budgets that are never exceeded, candidates that really fool."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.attack import questions
from casemate.attack.domain import Domain
from casemate.attack.ops.losses import cross_entropy, margin
from casemate.attack.oracle import Oracle
from casemate.errors import BudgetSpent, TargetError
from casemate.records.column import Column
from tests.attack.models import TorchModel, linear, near_boundary


@pytest.mark.parametrize("protocol", [questions.Labels, questions.Scores, questions.Gradients])
def test_the_oracle_answers_what_attacks_may_ask(protocol):
    oracle = oracle_of(linear((6,)), near_boundary(linear((6,)), 2))
    for base in protocol.__mro__:
        for name in {*vars(base), *getattr(base, "__annotations__", ())}:
            if not name.startswith("_"):
                assert hasattr(oracle, name), name
                if callable(getattr(protocol, name, None)):
                    theirs = inspect.signature(getattr(protocol, name)).parameters
                    assert list(theirs) == list(inspect.signature(getattr(Oracle, name)).parameters)


def oracle_of(model, data, *, arrays=False, **settings):
    settings = {"norm": "linf", "eps": 0.5, "domain": Domain(0.0, 1.0), **settings}
    x = data.x if arrays else torch.tensor(data.x)
    return Oracle(model, x, data.y, **settings)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.sampled_from("lgj"), st.integers(1, 3)), min_size=1, max_size=12),
)
def test_tensor_questions_never_exceed_the_budget(budget, questions):
    model = linear((6,))
    data = near_boundary(model, 5)
    oracle = oracle_of(model, data, budget=budget, drop=False)
    x, y = oracle.x, torch.tensor(data.y)
    try:
        for what, k in questions:
            if what == "l":
                oracle.logits(x)
            elif what == "g":
                oracle.value_and_grad(x, y, cross_entropy)
            else:
                oracle.jacobian(x, torch.zeros(len(x), k, dtype=torch.long))
            x, y = oracle.shed(x, y)
            if not len(x):
                break
    except BudgetSpent:
        pass
    assert (oracle.forward + oracle.backward <= budget).all()
    assert oracle.forward.sum() == model.forward_rows
    assert oracle.backward.sum() == model.backward_rows


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 9),
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=8),
    st.booleans(),
)
def test_array_questions_with_repeated_rows_never_exceed_the_budget(budget, questions, scores):
    asked = []

    class Watched(TorchModel):
        def scores(self, x):
            asked.append(len(x))
            return super().scores(x)

    model = Watched(linear((6,)).module, (6,), 5)
    data = near_boundary(model, 4)
    asked.clear()
    oracle = oracle_of(model, data, arrays=True, budget=budget)
    for rows in questions:
        at = np.array(rows)
        left = oracle.left(at)
        enough = all((at == r).sum() <= left[at == r][0] for r in set(rows))
        ask = oracle.scores if scores else oracle.labels
        if enough:
            assert len(ask(data.x[at], at)) == len(at)
        else:
            with pytest.raises(BudgetSpent):
                ask(data.x[at], at)
    assert (oracle.forward <= budget).all()
    assert oracle.forward.sum() == sum(asked)


def test_a_budget_is_used_to_its_last_row():
    model = linear((6,))
    data = near_boundary(model, 5)
    oracle = oracle_of(model, data, budget=5, drop=False)
    x, y = oracle.x, torch.tensor(data.y)
    for _ in range(2):
        oracle.value_and_grad(x, y, cross_entropy)
    with pytest.raises(BudgetSpent):
        oracle.value_and_grad(x, y, cross_entropy)
    assert (oracle.forward == 3).all()
    assert (oracle.backward == 2).all()


def test_rows_with_unequal_budgets_go_on_without_those_that_have_none():
    model = linear((6,))
    data = near_boundary(model, 4)
    oracle = oracle_of(model, data, budget=4, drop=False)
    x, y = oracle.x, torch.tensor(data.y)
    xa, _ = oracle.keep(np.array([True, True, False, False]), x, y)
    oracle.logits(xa)
    x, y = oracle.restart(x, y)
    oracle.value_and_grad(x, y, cross_entropy)
    _, _, grad = oracle.value_and_grad(x, y, cross_entropy)
    assert (grad[:2] == 0).all()
    assert (grad[2:] != 0).any()
    assert oracle.left().tolist() == [0, 0, 0, 0]
    assert not len(oracle.shed(x)[0])


def test_fooled_rows_are_dropped_and_not_asked_about_again():
    model = linear((6,))
    data = near_boundary(model, 8)
    oracle = oracle_of(model, data, eps=1.0)
    x, y = oracle.x, torch.tensor(data.y)
    wrong = 1 - x
    wrong[::2] = x[::2]
    oracle.logits(wrong)
    fooled = np.flatnonzero(model.labels(wrong.numpy()) != data.y)
    assert len(fooled)
    x, y = oracle.shed(x, y)
    assert len(x) == 8 - len(fooled)
    assert not set(oracle.rows) & set(fooled)
    oracle.logits(x)
    assert (oracle.forward[fooled] == 1).all()
    x, y = oracle.restart(oracle.x, torch.tensor(data.y))
    assert len(x) == 8 - len(fooled)


def test_a_candidate_outside_the_ball_or_the_box_does_not_count():
    model = linear((6,))
    data = near_boundary(model, 20)
    far = torch.tensor(data.x) + 0.2 * torch.sign(torch.randn(20, 6))
    for limits in ({"eps": 0.1}, {"eps": 1.0, "domain": Domain(data.x.min(), data.x.max())}):
        oracle = oracle_of(model, data, **limits)
        oracle.logits(far)
        assert not np.isfinite(oracle.distance).any()
    oracle = oracle_of(model, data, eps=0.21)
    oracle.logits(far)
    assert np.isfinite(oracle.distance).any()


def test_the_nearest_of_several_candidates_is_kept():
    model = linear((6,))
    data = near_boundary(model, 4)
    oracle = oracle_of(model, data, arrays=True, eps=None, norm="l2")
    away = np.random.default_rng(0).normal(size=(4, 30, 6)).astype(np.float32) * 0.2
    x = np.clip(data.x[:, None] + away, 0, 1).astype(np.float32)
    rows = np.repeat(np.arange(4), 30)
    labels = oracle.labels(x.reshape(-1, 6), rows).reshape(4, 30)
    away = np.linalg.norm((x - data.x[:, None]).astype(np.float64), axis=2)
    for i in range(4):
        fooled = labels[i] != data.y[i]
        assert fooled.any()
        assert oracle.distance[i] == pytest.approx(away[i][fooled].min())
        assert model.labels(oracle.best[i : i + 1])[0] != data.y[i]


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_threshold_decides(kind):
    model = linear((6,), classes=2)
    data = near_boundary(model, 50)
    raw = model.scores(data.x)
    positive = 1 / (1 + np.exp(raw[:, 0] - raw[:, 1]))
    threshold = float(np.quantile(positive, 0.9))

    class Answering(TorchModel):
        def scores(self, x):
            if self.kind == "logits":
                return super().scores(x)
            shares = np.exp(super().scores(x))
            return shares / shares.sum(1, keepdims=True)

    model = Answering(model.module, (6,), 2)
    model.kind = kind
    oracle = oracle_of(model, data, arrays=True, threshold=threshold)
    assert (oracle.scores(data.x).argmax(1) == (positive >= threshold)).mean() > 0.97
    if kind == "logits":
        oracle = oracle_of(model, data, threshold=threshold)
        logits, value, _ = oracle.value_and_grad(oracle.x, torch.tensor(data.y), margin)
        assert (logits.argmax(1).numpy() == (positive >= threshold)).mean() > 0.97
        assert ((value > 0).numpy() == (logits.argmax(1).numpy() != data.y)).all()


def test_nan_is_a_target_error():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 3))
    model = TorchModel(module, (6,), 3)
    data = near_boundary(model, 4)
    module[1].weight.data[:] = torch.nan
    with pytest.raises(TargetError, match="NaN for 4 of 4"):
        oracle_of(model, data).logits(torch.tensor(data.x))


def test_columns_are_honoured_in_what_is_sent():
    model = linear((3,))
    data = near_boundary(model, 6)
    x = data.x.copy()
    x[:, 0] = 1.0
    columns = (
        Column(name="a", type="integer", low=0, high=1),
        Column(name="b", mutable=False),
        Column(name="c"),
    )
    seen = []

    class Watched(TorchModel):
        def logits(self, x):
            seen.append(x)
            return super().logits(x)

    watched = Watched(model.module, (3,), 5)
    oracle = oracle_of(watched, data._replace(x=x), domain=Domain(0.0, 1.0, columns))
    oracle.logits(torch.tensor(x + 0.3))
    sent = seen[0].numpy()
    assert np.isin(sent[:, 0], [0, 1]).all()
    assert (sent[:, 1] == x[:, 1]).all()
    low, high = oracle.box(0.5)
    assert (low[:, 1].numpy() == x[:, 1]).all()
    assert (high[:, 1].numpy() == x[:, 1]).all()


def test_zero_gradients_are_counted():
    class Flat(TorchModel):
        def value_and_grad(self, x, y, loss):
            logits, value, grad = super().value_and_grad(x, y, loss)
            grad[::2] = 0
            grad[1, 0] = torch.nan
            return logits, value, grad

    model = linear((6,))
    data = near_boundary(model, 8)
    oracle = oracle_of(Flat(model.module, (6,), 5), data)
    _, _, grad = oracle.value_and_grad(oracle.x, torch.tensor(data.y), cross_entropy)
    assert oracle.zero_gradients == 4
    assert oracle.bad_gradients == 1
    assert torch.isfinite(grad).all()
