"""The run loop: what is attacked, what is reported, and what survives a failure."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
import torch

from casemate.attack.evasion import run as loop
from casemate.attack.evasion.inputs import choose
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from casemate.errors import TargetError, UsageError
from casemate.records.codec import decode, encode
from tests.attack.models import Data, TorchModel, linear, near_boundary, optimum

DIGEST = "sha256:" + "0" * 64
WIDE = {"eps": 0.2, "steps": 5}


@pytest.fixture
def model():
    return linear((8,), 3)


@pytest.fixture
def data(model):
    return near_boundary(model, 20)


def attack_with(function, model, data, monkeypatch, **settings):
    """Run a function of the test's own in the place of PGD."""
    monkeypatch.setattr(loop.loader, "load", lambda entry: function)
    return run(model, data, "evasion-pgd", params=WIDE, **settings)


def test_a_trial_says_everything_and_survives_its_json(model, data):
    kept = []
    told = []
    trial = run(
        model, data, "evasion-pgd", params=WIDE, seed=7, keep=lambda b: kept.append(b) or DIGEST,
        progress=lambda *a: told.append(a),
    )  # fmt: skip
    assert trial.state == "complete"
    assert trial.clean.value == 1
    assert trial.robust.value == 1 - np.mean([o.success for o in trial.outcomes])
    assert trial.robust.low <= trial.robust.value <= trial.robust.high
    assert trial.cost.forward == sum(o.forward for o in trial.outcomes)
    assert trial.cost.queries == 0
    assert trial.params["steps"] == 5
    assert trial.params["restarts"] == 1
    assert told[-1] == ("evasion-pgd", 20, 20)
    held = np.load(io.BytesIO(kept[0]))
    fooled = [o for o in trial.outcomes if o.success]
    assert held["index"].tolist() == [o.index for o in fooled]
    assert (model.labels(held["adv"]) != data.y[held["index"]]).all()
    assert (np.abs(held["adv"].astype(float) - held["x"].astype(float)) <= 0.2).all()
    for outcome, adv in zip(fooled, held["adv"], strict=True):
        assert outcome.adversarial_label == model.labels(adv[None])[0]
        assert outcome.margin < 0
    assert decode(encode(trial)) == trial


def test_only_inputs_the_model_has_right_are_attacked(model, data):
    wrong = data.y.copy()
    wrong[:5] = (wrong[:5] + 1) % 3
    trial = run(model, data._replace(y=wrong), "evasion-pgd", params=WIDE)
    assert trial.clean.value == 0.75
    assert [o.clean for o in trial.outcomes[:6]] == [False] * 5 + [True]
    assert all(o.forward == 0 and o.success is False for o in trial.outcomes[:5])
    assert trial.robust.n == 20


@pytest.mark.parametrize("attack", ["evasion-pgd", "evasion-apgd-ce", "evasion-apgd-t"])
def test_a_seed_fixes_everything(model, data, attack):
    params = {"eps": 0.01, "steps": 5}
    first, again = (run(model, data, attack, params=params, seed=3) for _ in range(2))
    assert first.outcomes == again.outcomes
    assert first.robust == again.robust
    kept: list[bytes] = []
    for seed in (3, 4):
        run(
            model, data, attack, params={"eps": 0.2, "steps": 1}, seed=seed,
            keep=lambda b: kept.append(b) or DIGEST,
        )  # fmt: skip
    assert kept[0] != kept[1]


def test_a_budget_holds_for_every_input(model, data):
    trial = run(model, data, "evasion-pgd", params={"eps": 1e-4, "steps": 50}, budget=7)
    assert trial.state == "budget-spent"
    assert max(o.forward + o.backward for o in trial.outcomes) == 7
    assert all(o.success is False for o in trial.outcomes)
    assert "7 evaluations" in trial.notes[-1]


def test_what_an_attack_claims_is_not_believed(model, data, monkeypatch):
    def lies(oracle, x, y, **_):
        oracle.best[:] = 0  # far outside the ball
        oracle.distance[:] = 0.0
        oracle.margin[:] = -9.0

    trial = attack_with(lies, model, data, monkeypatch)
    assert not any(o.success for o in trial.outcomes)
    assert any("did not fool" in note for note in trial.notes)

    def dreams(oracle, x, y, **_):
        oracle.distance[:] = 0.0  # the inputs themselves

    trial = attack_with(dreams, model, data, monkeypatch)
    assert trial.robust.value == 1


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (TargetError("gone"), "failed"),
        (ValueError("x"), "failed"),
    ],
)
def test_what_was_found_before_the_end_is_kept(model, data, monkeypatch, error, state):
    def breaks(oracle, x, y, **_):
        x[10:] = data_x[10:]
        oracle.logits(torch.cat([far[:10], x[10:]]))
        raise error

    data_x = torch.tensor(data.x)
    target = data.x - 0.19 * np.sign(_slope(model, data.y))
    far = torch.tensor(np.clip(target, 0, 1).astype(np.float32))
    trial = attack_with(breaks, model, data, monkeypatch)
    assert trial.state == state
    assert all(o.success for o in trial.outcomes[:10])
    assert all(o.success is None for o in trial.outcomes[10:])
    assert any("10 inputs were not attacked to the end" in note for note in trial.notes)


def _slope(model, y):
    return model.module[1].weight.numpy()[y]


def test_a_deadline_ends_the_run(model, data):
    trial = run(
        model, data, "evasion-pgd", params={"eps": 1e-4, "steps": 10**6},
        deadline=time.monotonic() + 0.2,
    )  # fmt: skip
    assert trial.state == "budget-spent"
    assert "stopped at its deadline" in trial.notes
    assert all(o.success is None for o in trial.outcomes)


def test_a_model_that_raises_is_one_clear_line(data):
    class Broken(TorchModel):
        def scores(self, x):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")

    model = Broken(linear((8,), 3).module, (8,), 3)
    with pytest.raises(TargetError, match=r"RuntimeError: mat1 and mat2 .* multiplied$"):
        run(model, data, "evasion-pgd")


def test_nan_answers_are_one_clear_line(data):
    model = linear((8,), 3)
    model.module[1].weight.data[:] = torch.nan
    with pytest.raises(TargetError, match="NaN for 20 of 20 inputs, the first at row 0"):
        run(model, data, "evasion-pgd")


def test_a_random_model_is_noticed(data):
    class Noisy(TorchModel):
        def scores(self, x):
            return super().scores(x) + rng.normal(size=(len(x), self.classes)) * 0.05

    rng = np.random.default_rng(0)
    model = Noisy(linear((8,), 3).module, (8,), 3)
    trial = run(model, data, "evasion-pgd", params=WIDE)
    assert any("at random" in note for note in trial.notes)
    assert trial.robust.value < 0.5


def test_flat_gradients_are_noted(data):
    class Masked(TorchModel):
        def value_and_grad(self, x, y, loss):
            logits, value, grad = super().value_and_grad(x, y, loss)
            return logits, value, grad * 0

    model = Masked(linear((8,), 3).module, (8,), 3)
    trial = run(model, data, "evasion-pgd", params={"eps": 1e-4, "steps": 3})
    assert any("exactly zero" in note for note in trial.notes)


def _rare(n=400, positives=20):
    model = linear((8,), 2)
    data = near_boundary(model, 4000, spread=0.3)
    x = np.concatenate([data.x[data.y == 0][: n - positives], data.x[data.y == 1][:positives]])
    return model, Data(x, np.array([0] * (n - positives) + [1] * positives))


def test_rare_events_are_judged_by_recall():
    model, data = _rare()
    trial = run(model, data, "evasion-pgd", params={"eps": 0.02, "steps": 20})
    assert trial.clean.name == trial.robust.name == "recall-at-fpr"
    assert trial.inputs == 20
    assert trial.robust.value < trial.clean.value
    assert any("threshold" in note for note in trial.notes)
    # Within the radius exactly those fall whose distance to the moved boundary is smaller.
    threshold = float(
        next(n for n in trial.notes if "threshold" in n).split("threshold ")[1].split()[0]
    )
    layer = model.module[1]
    shifted = optimum_with_bias(model, data.x[-20:], np.log(threshold / (1 - threshold)))
    found = np.array([o.success for o in trial.outcomes])
    right = np.array([o.clean for o in trial.outcomes])
    assert (found[right] == (shifted[right] < 0.02)).mean() > 0.9
    assert layer.bias is not None


def optimum_with_bias(model, x, shift):
    w = model.module[1].weight.double().numpy()
    b = model.module[1].bias.double().numpy()
    ahead = x @ (w[1] - w[0]) + b[1] - b[0] - shift
    return ahead / np.abs(w[1] - w[0]).sum()


@pytest.mark.parametrize("gives", [("gradients", "scores", "labels"), ("gradients",)], ids=len)
def test_a_threshold_of_the_target_is_respected_and_reported(gives):
    model, data = _rare()
    raw = model.scores(data.x[-20:])
    bar = float(np.median(raw[:, 1] - raw[:, 0]))
    model.threshold = 1 / (1 + np.exp(-bar))
    model.gives = frozenset(gives)
    trial = run(model, data, "evasion-pgd", params={"eps": 0.02, "steps": 30})
    found = model.labels(data.x[-20:]) == 1
    assert trial.clean.value == found.mean() < 1
    assert any("own threshold" in note for note in trial.notes)
    away = optimum_with_bias(model, data.x[-20:], bar)
    success = np.array([o.success for o in trial.outcomes])
    assert (success[found] == (away[found] < 0.02)).mean() > 0.9


def test_a_threshold_moves_the_boundary_of_balanced_data_too():
    model = linear((8,), 2)
    model.threshold = 0.55
    data = near_boundary(model, 60, spread=0.3)
    trial = run(model, data, "evasion-fmn", params={"norm": "linf"})
    assert trial.clean.name == "accuracy"
    assert trial.clean.value == 1
    away = np.abs(optimum_with_bias(model, data.x, np.log(0.55 / 0.45)))
    found = np.array([o.distance for o in trial.outcomes])
    assert (found >= away * (1 - 1e-4)).all()
    assert np.median(found / away) < 1.02


@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_replace_dlr_and_say_so(classes):
    model = linear((8,), classes)
    data = near_boundary(model, 20)
    best = optimum(model, data.x, data.y, "linf")
    eps = float(np.median(best))
    trial = run(model, data, "evasion-apgd-t", params={"eps": eps, "steps": 40})
    assert any("DLR" in note for note in trial.notes)
    assert ([o.success for o in trial.outcomes] == (best < eps)).mean() > 0.9


def test_a_class_the_model_never_answers_does_not_blind_the_oracle():
    inner = linear((8,), 3)
    module = torch.nn.Sequential(inner.module, _Never())
    model = TorchModel(module, (8,), 4)
    data = near_boundary(inner, 20)
    trial = run(model, data, "evasion-pgd", params=WIDE)
    assert trial.robust.value < 0.5


class _Never(torch.nn.Module):
    def forward(self, z):
        return torch.cat([z, torch.full_like(z[:, :1], -1e9)], 1)


def test_fpr_can_be_asked_for():
    model = linear((8,), 2)
    trial = run(model, near_boundary(model, 100), "evasion-pgd", params=WIDE, fpr=0.1)
    assert trial.clean.name == "recall-at-fpr"
    with pytest.raises(UsageError, match="two classes"):
        run(linear((8,), 3), near_boundary(linear((8,), 3), 9), "evasion-pgd", fpr=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((0, 8), np.float32), "y": np.zeros(0, int)}, "no inputs"),
        ({"x": np.zeros((20, 7), np.float32)}, "shape"),
        ({"y": np.full(20, 3)}, "labels run from 3 to 3"),
        ({"x": np.full((20, 8), 7, np.float32)}, "outside the declared bounds"),
        ({"x": np.full((20, 8), np.nan, np.float32)}, "NaN"),
    ],
)
def test_data_that_do_not_fit_are_refused(model, data, change, message):
    with pytest.raises(UsageError, match=message):
        run(model, data._replace(**change), "evasion-pgd")


def test_wrong_parameters_are_refused(model, data):
    with pytest.raises(UsageError, match="no parameter 'epz'"):
        run(model, data, "evasion-pgd", params={"epz": 1})
    with pytest.raises(UsageError, match="allows nothing"):
        run(model, data, "evasion-pgd", budget=0)
    with pytest.raises(UsageError, match="no entry 'evasion-pdg'"):
        run(model, data, "evasion-pdg")


def test_a_target_without_gradients_is_refused(data):
    model = TorchModel(linear((8,), 3).module, (8,), 3, gives=("labels",))
    with pytest.raises(UsageError, match="needs gradients"):
        run(model, data, "evasion-pgd")


def test_a_limit_takes_the_first_but_not_one_class_alone(model, data):
    assert choose(model, data, 5, gradients=True).rows.tolist() == [0, 1, 2, 3, 4]
    order = np.argsort(data.y)
    ordered = data._replace(x=data.x[order], y=data.y[order])
    chosen = choose(model, ordered, 2, gradients=True)
    assert len(np.unique(chosen.y)) > 1
    assert "sorted by class" in chosen.notes[0]


def test_minimum_norm_trials_carry_the_curve(model, data):
    trial = run(model, data, "evasion-fmn", params={"norm": "linf"})
    best = optimum(model, data.x, data.y, "linf")
    names = [m.name for m in trial.measures]
    assert names == ["median-distance", "median-distance-share", "found"]
    assert trial.measures[1].value == pytest.approx(trial.measures[0].value)
    curve = trial.series[0].points
    assert curve[0] == (0.0, 1.0)
    assert curve[-1][1] == 0.0
    assert trial.eps is None
    assert np.median([p[0] for p in curve[1:]]) == pytest.approx(np.median(best), rel=0.3)


def test_without_dropping_every_step_is_paid_for(model, data):
    entry = loader.entry("attacks", "evasion-pgd", Attack)
    trial = loop.run(
        entry, model, data, params=loader.params(entry, {"eps": 0.2, "steps": 4}), budget=None,
        seed=0, limit=None, device="cpu", fpr=None, progress=None, keep=None, deadline=None,
        drop=False,
    )  # fmt: skip
    assert {(o.forward, o.backward) for o in trial.outcomes} == {(5, 4)}
