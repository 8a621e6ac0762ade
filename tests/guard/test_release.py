import random

from casemate.guard.release import HOLD, Release
from casemate.records.event import Event

W = "w-0123456789abcdef"


def event(sequence, kind="inference"):
    return Event(writer=W, sequence=sequence, at=0, kind=kind)


def early(first):
    return lambda: [event(first, "failed")]


def test_answers_in_any_order_leave_in_their_own():
    release = Release(start=5)
    a, b, c = (release.reserve(1, early(n)) for n in (5, 6, 7))
    assert (a.first, b.first, c.first) == (5, 6, 7)
    assert release.fill(c, [event(7)], 10) == []
    assert release.fill(b, [event(6)], 20) == []
    assert [one.sequence for one in release.fill(a, [event(5)], 30)] == [5, 6, 7]
    assert release.open == 0


def test_nobody_waits_long_for_a_slow_one():
    release = Release()
    slow, quick = release.reserve(1, early(0)), release.reserve(2, early(1))
    assert release.fill(quick, [event(1), event(2)], 1000) == []
    assert release.due(1000 + HOLD - 1) == []
    left = release.due(1000 + HOLD)
    assert [(one.sequence, one.kind) for one in left] == [
        (0, "failed"),
        (1, "inference"),
        (2, "inference"),
    ]
    assert slow.released
    assert release.due(10**12) == []


def test_a_slow_one_alone_is_not_hurried():
    release = Release()
    slow = release.reserve(1, early(0))
    assert release.due(10**12) == []
    assert [one.kind for one in release.fill(slow, [event(0)], 10**12)] == ["inference"]


def test_the_end_lets_everything_go():
    release = Release()
    release.reserve(1, early(0))
    release.fill(release.reserve(1, early(1)), [event(1)], 0)
    assert [one.kind for one in release.rest()] == ["failed", "inference"]
    assert release.rest() == []


def test_a_clock_that_jumps_back_holds_nothing_up_for_good():
    release = Release()
    release.reserve(1, early(0))
    for n in range(1, 9000):
        left = release.fill(release.reserve(1, early(n)), [event(n)], 10**9 - n)
        if left:
            break
    assert left[0].kind == "failed"
    assert len(left) < 9000


def test_every_sequence_leaves_once_and_in_order():
    rng = random.Random(1)
    release, waiting, seen, now = Release(), [], [], 0
    late = 0
    for _ in range(20_000):
        now += rng.randrange(5000)
        if rng.random() < 0.5 or not waiting:
            rows = rng.randrange(1, 4)
            slot = release.reserve(rows, lambda: ())
            slot.early = lambda slot=slot: [event(slot.first + n) for n in range(slot.rows)]
            waiting.append(slot)
        else:
            slot = waiting.pop(rng.randrange(len(waiting)) if rng.random() < 0.5 else 0)
            if slot.released:
                late += 1
            else:
                seen += release.fill(slot, [event(slot.first + n) for n in range(slot.rows)], now)
        seen += release.due(now)
    seen += release.rest()
    assert [one.sequence for one in seen] == list(range(len(seen)))
    assert late
