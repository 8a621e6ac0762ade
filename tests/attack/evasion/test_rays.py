"""RayS: corners of the cube about the input, halved again and again."""

from __future__ import annotations

import numpy as np

from casemate.attack.evasion.rays import _blocks
from tests.attack.evasion.black_box import attack
from tests.attack.models import Data, linear, near_boundary, optimum


def test_labels_of_a_linear_model_lead_to_its_optimum():
    whole = linear((1, 4, 4), 2, scale=0.3)
    data = near_boundary(whole, 20, spread=0.2)
    best = optimum(whole, data.x, data.y, "linf")
    oracle, _ = attack("evasion-rays", whole, data, 2000)
    # Two classes and room on all sides: the best corner is found sign by sign.
    assert np.median(oracle.distance / best) < 1.02


def test_blocks_halve_until_they_are_cells_and_then_cells_again():
    assert _blocks(3, 9) == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 0), (2, 1), (2, 2)]
    assert _blocks(1, 2) == [(0, 0), (0, 0)]


def test_without_bounds_the_ray_is_followed_as_far_as_the_data_spread():
    class Cube:
        shape, classes = (4,), 2

        def labels(self, x):
            return (np.abs(x).max(axis=1) > 2).astype(np.int64)

    x = np.full((3, 4), 0.5, np.float32)
    oracle, _ = attack("evasion-rays", Cube(), Data(x, Cube().labels(x), -np.inf, np.inf), 100)
    assert (oracle.distance > 1.49).all()
    assert (oracle.distance < 1.52).all()


def test_an_input_that_no_ray_fools_is_named():
    class Always:
        shape, classes = (4,), 2

        def labels(self, x):
            return np.zeros(len(x), np.int64)

    x = np.full((3, 4), 0.5, np.float32)
    oracle, model = attack("evasion-rays", Always(), Data(x, np.zeros(3, np.int64)), 50)
    assert oracle.notes == ["3 of 3 inputs have no wrong answer on any ray tried"]
    assert model.rows == 150
