"""Prints of table rows and the scales they are measured by."""

import numpy as np
import pytest

from casemate.detect.inline.signals import Signals
from casemate.detect.inline.tables import Scales, Tables, apart_of, limits_of, spread_of

KEY = b"a key of the tests, 32 bytes long"
SIGNALS = Signals(KEY)
TABLES = Tables(KEY, SIGNALS)
SALTS = SIGNALS.salts("table")


def test_spread_is_robust_and_never_zero():
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(50, 2, 500), np.zeros(500), rng.normal(0, 3, 500)])
    rows[0, 2] = 1e9
    centre, scale = spread_of(rows)
    assert centre[0] == pytest.approx(50, abs=0.5)
    assert scale[0] == pytest.approx(5.0, rel=0.05)  # a tenth of its size, above its spread
    assert scale[1] == 1.0
    assert scale[2] == pytest.approx(3, rel=0.2)


def test_scales_are_learned_at_set_times_and_then_stay():
    scales = Scales(3)
    rng = np.random.default_rng(1)
    changed = [i + 1 for i in range(600) if scales.learn(rng.normal(0, [1, 10, 100], 3), i % 5)]
    assert changed == [1, 8, 64, 512]
    np.testing.assert_allclose(scales.scale, [1, 10, 100], rtol=0.2)


def test_given_scales_are_never_learned():
    scales = Scales(2, np.array([[0.0, 0.0], [1.0, 5.0]]), 0.04)
    assert not any(scales.learn(np.ones(2), 1) for _ in range(600))
    assert scales.limits[0] == 0.04


def test_rows_of_one_caller_do_not_pass_for_natural_neighbours():
    rng = np.random.default_rng(2)
    natural = rng.normal(0, 1, (200, 10))
    attack = natural[0] + rng.normal(0, 0.001, (200, 10))
    z = np.concatenate([natural, attack])
    whose = [*range(200), *([999] * 200)]
    alone = apart_of(natural, list(range(200)))
    assert apart_of(z, whose) > 0.5 * alone
    assert apart_of(z) < 0.01 * alone
    assert apart_of(natural[:10]) is None


@pytest.mark.parametrize(("apart", "reach"), [(None, 0.15), (0.0, 0.03), (0.08, 0.08), (9, 0.15)])
def test_limits_are_bounded(apart, reach):
    assert limits_of(apart)[0] == reach


@pytest.mark.parametrize("d", [1, 4, 30, 48, 60, 128])
def test_a_few_changed_columns_leave_marks_in_common(d):
    rng = np.random.default_rng(d)
    scales = Scales(d, np.array([np.zeros(d), np.ones(d)]))
    row = rng.normal(0, 1, d)
    other = row.copy()
    other[0] += 2.0
    one, two = (TABLES.print_of(r, scales, SALTS) for r in (row, other))
    unlike = TABLES.print_of(rng.normal(0, 1, d), scales, SALTS)
    assert one.marks[0] != two.marks[0]
    if d > 1:
        assert np.count_nonzero(one.marks[1:] == two.marks[1:]) >= 2
    assert np.count_nonzero(one.marks[1:] == unlike.marks[1:]) <= (4 if d > 4 else 16)


def test_huge_cells_do_not_overflow():
    scales = Scales(3, np.array([np.zeros(3), np.full(3, 1e-300)]))
    made = TABLES.print_of(np.array([1e308, -1e308, 0.0]), scales, SALTS)
    assert made.sketch[:3].tolist() == [31744, -31744, 0]
