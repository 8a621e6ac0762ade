"""Counts and distinct clusters of a principal against exact ones."""

import numpy as np
import pytest

from casemate.detect.inline.principals import FAMILY, Principals

HOUR = 3_600_000_000


def test_counts_slide_with_the_window():
    held = Principals(64, 3600)
    for i in range(10):
        asked, _ = held.note(held.row(5, HOUR * 100 + i), i * 7919, i)
    assert asked == 10
    row = held.row(5, HOUR * 100 + HOUR // 2)
    assert held.note(row, 1, 1)[0] == 11
    row = held.row(5, HOUR * 101 + HOUR // 4)
    assert held.note(row, 1, 1)[0] == 2
    row = held.row(5, HOUR * 150)
    assert held.note(row, 1, 1) == (1, 1)


@pytest.mark.parametrize("n", [1, 10, 50, 300, 5000])
def test_distinct_clusters_are_about_right(n):
    rng = np.random.default_rng(n)
    held = Principals(8, 3600)
    fresh = 0
    for cluster in np.tile(rng.integers(0, 2**64, n, np.uint64), 2):
        fresh = held.note(held.row(9, HOUR * 7), int(cluster), -1)[1]
    assert fresh == pytest.approx(n, rel=0.35, abs=1)


def test_information_adds_up_and_expires():
    held = Principals(8, 3600)
    row = held.row(5, HOUR)
    held.serve(row, 2.5)
    assert held.serve(row, 1.0) == 3.5
    assert held.serve(held.row(5, HOUR * 3), 1.0) == 1.0


def test_a_clock_that_goes_back_keeps_what_was_counted():
    held = Principals(8, 3600)
    held.note(held.row(5, HOUR * 10), 1, 1)
    assert held.note(held.row(5, HOUR * 2), 2, 2)[0] == 2


def test_the_longest_silent_leaves_and_memory_stays():
    held = Principals(FAMILY, 3600)
    size = held.size
    for who in range(FAMILY + 1):
        held.note(held.row(who + 1, HOUR * (who + 1)), 1, who)
    assert held.size == size
    assert held.note(held.row(1, HOUR * (FAMILY + 1)), 1, 1)[0] == 1
    assert held.note(held.row(FAMILY + 1, HOUR * (FAMILY + 1)), 1, 1)[0] == 2
