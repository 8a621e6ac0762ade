"""Every white-box attack against linear models, whose nearest boundary is known exactly."""

from __future__ import annotations

import io

import numpy as np
import pytest

from casemate.attack.evasion import run as loop
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from tests.attack.models import linear, near_boundary, optimum

SHAPES = [((3, 4, 4), 5), ((12,), 3), ((1, 9), 2)]
SMALLEST = [
    ("evasion-fmn", "linf", {}, 1.02),
    ("evasion-fmn", "l2", {}, 1.02),
    ("evasion-fmn", "l1", {}, 1.10),
    ("evasion-deepfool", "l2", {}, 1.02),
    ("evasion-deepfool", "linf", {}, 1.02),
    ("evasion-carlini-wagner", "l2", {"steps": 120, "searches": 6}, 1.03),
]
WITHIN = [
    ("evasion-fgsm", "linf", {}),
    ("evasion-fgsm", "l2", {}),
    ("evasion-pgd", "linf", {}),
    ("evasion-pgd", "l2", {}),
    ("evasion-pgd", "l1", {"steps": 100}),
    ("evasion-apgd-ce", "linf", {}),
    ("evasion-apgd-ce", "l2", {}),
    ("evasion-apgd-ce", "l1", {}),
    ("evasion-apgd-t", "linf", {"steps": 50}),
    ("evasion-apgd-t", "l2", {"steps": 50}),
    ("evasion-apgd-t", "l1", {"steps": 40}),
]


@pytest.mark.parametrize(("shape", "classes"), SHAPES, ids=str)
@pytest.mark.parametrize(("attack", "norm", "params", "tolerance"), SMALLEST)
def test_smallest_change_is_near_the_optimum(attack, norm, params, tolerance, shape, classes):
    model = linear(shape, classes, scale=0.3)
    data = near_boundary(model, 24, spread=0.2)
    best = optimum(model, data.x, data.y, norm)
    trial = run(model, data, attack, params={"norm": norm, **params})
    assert trial.state == "complete"
    assert trial.robust.value == 0
    found = np.array([outcome.distance for outcome in trial.outcomes])
    assert (found >= best * (1 - 1e-5)).all()
    assert np.median(found / best) <= tolerance
    # With several classes an attack may walk to a boundary that is not the nearest one.
    assert (found / best).max() <= (tolerance + 0.02 if classes == 2 else 1.6)
    assert trial.measures[0].value == pytest.approx(np.sort(found)[(len(found) - 1) // 2])


@pytest.mark.parametrize(
    ("attack", "norm", "params", "batch"),
    [(*one, None) for one in WITHIN] + [(*one, batch) for one in WITHIN[-1:] for batch in (1, 5)],
)
def test_a_radius_is_enough_exactly_when_it_exceeds_the_optimum(attack, norm, params, batch):
    # Cross-entropy follows the likeliest wrong class; only the targeted attack tries the others.
    model = linear((10,), classes=5 if attack == "evasion-apgd-t" else 2, scale=0.3)
    data = near_boundary(model, 6 if batch == 1 else 16, spread=0.2)
    best = optimum(model, data.x, data.y, norm)
    eps = float(np.median(best))
    entry = loader.entry("attacks", attack, Attack)
    trial = loop.run(
        entry, model, data, params=loader.params(entry, {"norm": norm, "eps": eps, **params}),
        budget=None, seed=3, limit=None, device="cpu", fpr=None, progress=None, keep=None,
        deadline=None, batch=batch,
    )  # fmt: skip
    success = np.array([outcome.success for outcome in trial.outcomes])
    assert not success[best > eps].any()
    assert success[best < 0.9 * eps].all()
    assert all(o.distance <= eps for o in trial.outcomes if o.success)


def test_l0_finds_the_single_cell_that_suffices():
    model = linear((12,), scale=0.3)
    data = near_boundary(model, 24, spread=0.02)
    layer = model.module[1]
    weight = layer.weight.double().numpy()
    logits = model.scores(data.x)
    single = np.zeros(24, bool)
    for i, y in enumerate(data.y):
        for k in range(5):
            slope = weight[k] - weight[y]
            room = np.where(slope > 0, 1 - data.x[i], data.x[i])
            single[i] |= (
                k != y and (np.abs(slope) * room).max() > logits[i, y] - logits[i, k] + 1e-3
            )
    trial = run(model, data, "evasion-fmn", params={"norm": "l0"})
    found = np.array([outcome.distance for outcome in trial.outcomes])
    assert single.any()
    assert (found[single] == 1).mean() > 0.9
    assert (found[~single] > 1).all()


def test_the_box_binds():
    model = linear((12,), scale=0.3)
    data = near_boundary(model, 8, spread=0.2)
    data = data._replace(lower=data.x.min(), upper=data.x.max())
    model.lower, model.upper = data.lower, data.upper
    blobs: list[bytes] = []

    def keep(blob):
        blobs.append(blob)
        return "sha256:" + "0" * 64

    for attack, norm, *_ in SMALLEST:
        run(model, data, attack, params={"norm": norm}, keep=keep)
        held = np.load(io.BytesIO(blobs[-1]))
        assert held["adv"].min() >= data.lower
        assert held["adv"].max() <= data.upper
