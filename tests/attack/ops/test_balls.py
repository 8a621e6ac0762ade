"""Boxes that are never exceeded and projections that are nearest points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from casemate.attack.domain import Domain
from casemate.attack.ops.balls import box, l1_box, project, size, steepest
from casemate.attack.ops.starts import scatter

EPS = st.floats(1e-6, 2.0)


@settings(deadline=None)
@given(EPS, st.integers(0, 10**6), st.sampled_from([torch.float32, torch.float64]))
def test_the_box_is_within_eps_to_the_last_bit(eps, seed, dtype):
    x = torch.rand(4, 7, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    before = x.clone()
    low, high = box(x, eps, Domain(0.0, 1.0))
    exact = x.double()
    for end in (low.double(), high.double()):
        assert (np.abs(end - exact) <= eps).all()
        assert ((end >= 0) & (end <= 1)).all()
    assert (low <= x).all()
    assert (high >= x).all()
    assert (x == before).all()
    if dtype == torch.float64:
        return
    # No wider box exists in this type.
    lower = torch.nextafter(low, low.new_tensor(-torch.inf)).double()
    assert ((exact - lower > eps) | (lower < 0)).all()


@settings(deadline=None, max_examples=40)
@given(EPS, st.sampled_from(["linf", "l2", "l1"]), st.integers(0, 10**6))
def test_projections_and_starts_are_inside(eps, norm, seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(5, 2, 6, generator=rng)
    low, high = box(x, eps if norm == "linf" else None, Domain(0.0, 1.0))
    order = {"linf": np.inf, "l2": 2, "l1": 1}[norm]
    far = x + torch.randn(x.shape, generator=rng) * 3
    for adv in (project(far, x, eps, norm, low, high), scatter(x, eps, norm, low, high, rng)):
        moved = (adv.double() - x.double()).flatten(1).numpy()
        assert (np.linalg.norm(moved, order, axis=1) <= eps).all()
        assert ((adv >= 0) & (adv <= 1)).all()


def test_l1_projection_onto_ball_and_box_is_the_nearest_point():
    rng = np.random.default_rng(0)
    for _ in range(5):
        moved, low, high = rng.normal(size=6), -rng.uniform(size=6), rng.uniform(size=6)
        ours = l1_box(*(torch.tensor(a[None]) for a in (moved,)), 0.8,
                      torch.tensor(low[None]), torch.tensor(high[None]))[0].numpy()  # fmt: skip
        assert np.abs(ours).sum() <= 0.8 + 1e-9
        split = minimize(
            lambda z, m=moved: ((z[:6] - z[6:] - m) ** 2).sum(),
            np.zeros(12),
            bounds=[(0, h) for h in high] + [(0, -lo) for lo in low],
            constraints={"type": "ineq", "fun": lambda z: 0.8 - z.sum()},
            tol=1e-12,
        ).x
        reference = split[:6] - split[6:]
        assert ((ours - moved) ** 2).sum() <= ((reference - moved) ** 2).sum() + 1e-6


@pytest.mark.parametrize(("norm", "order"), [("linf", np.inf), ("l2", 2), ("l1", 1)])
def test_the_steepest_step_has_length_one_and_gains_most(norm, order):
    grad = torch.randn(3, 50)
    step = steepest(grad.clone(), norm)
    assert size(step, order).numpy() == pytest.approx(1, rel=1e-5)
    dual = {"linf": 1, "l2": 2, "l1": np.inf}[norm]
    assert (step * grad).sum(1).numpy() == pytest.approx(size(grad, dual).numpy(), rel=1e-4)


def test_unbounded_cells_have_no_box():
    x = torch.rand(2, 3)
    low, high = box(x, None, Domain(-np.inf, np.inf))
    assert torch.isinf(low).all()
    assert torch.isinf(high).all()
