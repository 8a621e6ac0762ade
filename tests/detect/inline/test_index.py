"""The index against a search through everything, and its bounds."""

import numpy as np
import pytest

from casemate.detect.inline import index, keyed
from casemate.detect.inline.index import Index

LIMITS = np.array([0.085, 0.35, 0.25, 0.66, 0.0, 1.5, 1e9, 0.2])
SHAPE = np.array([keyed.FINE, 0, 1, 1 + keyed.WINDOWS])
NOBODY = np.full(32, -1, np.int32)


def mark_of(number):
    """A mark as scattered as a hash."""
    return number * 0x9E3779B97F4A7C15 % (1 << 64)


class World:
    """Points of 32 numbers whose marks are what the test says."""

    def __init__(self, capacity=256):
        self.at = Index(capacity)
        self.count = 0

    def enter(self, point, marks, *, line=1, who=7, before=NOBODY):
        """Enter a point; return its cluster, numbers and whole numbers."""
        at = self.at
        sketch = np.zeros(keyed.PRINT, np.int16)
        sketch[: len(point)] = np.round(np.asarray(point) * 1024)
        full = np.zeros(keyed.MARKS, np.uint64)
        full[: len(marks)] = [mark_of(one) for one in marks]
        record = np.array([self.count, 0, line, who])
        self.count += 1
        cluster = index.enter(
            full, sketch, np.ones(2, np.float32), record, SHAPE, LIMITS, before, at.table,
            at.sketches, at.owns, at.exact, at.sequences, at.places, at.members, at.ids, at.state,
            at.clock, at.numbers, at.whole,
        )  # fmt: skip
        return int(cluster), at.numbers.copy(), at.whole.copy()


def spread(rng, n):
    return rng.uniform(-8, 8, (n, 32))


def test_the_nearest_is_the_one_a_full_search_finds():
    rng = np.random.default_rng(0)
    bases = spread(rng, 20)
    world, points = World(4096), []
    for i in range(400):
        b = i % 20
        point = bases[b] + rng.normal(0, 0.02, 32) * (i >= 20)
        _, numbers, whole = world.enter(point, [1000 + i, 50 + b, 80 + b])
        point = np.round(point * 1024) / 1024
        if i >= 20:
            away = np.sqrt(((np.array(points) - point) ** 2).mean(axis=1))
            assert numbers[index.DELTA] == pytest.approx(away[whole[index.FOUND]], rel=1e-3)
            assert numbers[index.DELTA] <= 1.16 * away.min()
            assert whole[index.GROWN] == i // 20 + 1
        points.append(point)


def test_a_cluster_holds_what_is_linked_and_nothing_else():
    world = World()
    one = np.zeros(32)
    first, _, _ = world.enter(one, [11, 5])
    near, numbers, _ = world.enter(one + 0.05, [12, 5])
    far, other, whole = world.enter(one + 1.0, [13, 5])
    assert near == first == mark_of(11)
    assert numbers[index.NEAR] > index.LINKED
    assert far == mark_of(13)
    assert 0 < other[index.NEAR] < index.LINKED
    assert whole[index.FOUND] >= 0  # the nearest is named all the same


def test_lines_never_meet():
    world = World()
    world.enter(np.zeros(32), [11, 5], line=1)
    cluster, _, whole = world.enter(np.zeros(32), [11, 5], line=2)
    assert whole[index.FOUND] == -1
    assert cluster == mark_of(11)


def test_the_callers_own_last_inputs_are_seen_without_a_mark_in_common():
    world = World()
    _, _, whole = world.enter(np.zeros(32), [11])
    before = NOBODY.copy()
    before[0] = whole[index.PLACE]
    cluster, numbers, _ = world.enter(np.full(32, 0.15), [12], before=before)
    assert cluster == mark_of(11)
    assert numbers[index.DELTA] == pytest.approx(0.15, abs=0.01)
    cluster, _, _ = world.enter(np.full(32, 0.15), [13])
    assert cluster == mark_of(13)


def test_turns_are_cosines_of_successive_steps():
    world = World()
    for i, point in enumerate([0.0, 0.02, 0.04, 0.02]):
        _, numbers, _ = world.enter(np.full(32, point), [100 + i, 5])
        wanted = {2: 1.0, 3: -1.0}.get(i)
        if wanted is None:
            assert np.isnan(numbers[index.TURN])
        else:
            assert numbers[index.TURN] == pytest.approx(wanted, abs=1e-6)


def test_repeats_take_no_place():
    world = World(8)
    for _ in range(100):
        cluster, numbers, whole = world.enter(np.zeros(32), [11, 5])
    assert cluster == mark_of(11)
    assert numbers[index.DELTA] == 0.0
    assert whole[index.GROWN] == 100
    assert world.at.clock[0] == 1


def test_the_oldest_leaves_and_memory_stays():
    rng = np.random.default_rng(1)
    world = World(64)
    points = spread(rng, 200)
    size = world.at.size
    for i, point in enumerate(points):
        world.enter(point, [1000 + i, 5000 + i])
    assert world.at.size == size
    assert world.enter(points[199], [1199, 5199])[2][index.GROWN] == 2
    assert not world.enter(points[0], [1000, 5000])[1][index.DELTA] < 1.0


def test_one_campaign_cannot_flush_the_history_of_others():
    rng = np.random.default_rng(2)
    world = World(512)
    others = spread(rng, 100)
    for i, point in enumerate(others):
        world.enter(point, [1000 + i, 5000 + i])
    base = np.zeros(32)
    for i in range(3000):
        world.enter(base + rng.normal(0, 0.01, 32), [100_000 + i, 77])
    still = sum(
        world.enter(point, [1000 + i, 5000 + i])[1][index.DELTA] == 0.0
        for i, point in enumerate(others)
    )
    assert still == 100


def test_the_base_of_many_tries_is_found_when_its_bucket_has_lost_it():
    rng = np.random.default_rng(3)
    world = World(4096)
    base = np.zeros(32)
    world.enter(base, [1, 77])
    for i in range(60):
        world.enter(base + rng.normal(0, 0.03, 32), [1000 + i, 77])
    _, _, whole = world.enter(base + rng.normal(0, 0.03, 32), [2000, 77])
    assert whole[index.WHEN] == 0


@pytest.mark.parametrize("capacity", [0, 1 << 24])
def test_capacities_that_cannot_be(capacity):
    with pytest.raises(ValueError, match="capacity"):
        Index(capacity)


def test_an_input_costs_at_most_a_quarter_kilobyte():
    assert Index(1 << 16).size / (1 << 16) <= 256
