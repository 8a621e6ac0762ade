"""Halves to pairs: nothing is lost and nothing doubles, whatever the ids and the times say."""

import random

from casemate.guard.call import Call, Reply
from casemate.guard.logs import pairs as module
from casemate.guard.logs.pairs import LATE, NO_ANSWER, NO_REQUEST, NO_TIME, TWICE, Pairs
from casemate.guard.logs.record import Logged
from casemate.guard.logs.tally import Tally


def asked(key, at, body=b"q"):
    return Logged(call=Call("POST", "/", "", (), body, "", 0), key=key, at=at)


def given(key, at, body=b"a"):
    return Logged(reply=Reply(200, (), body), key=key, at=at)


def run(halves, **more):
    tally = Tally()
    pairs = Pairs(tally, **more)
    found = []
    for number, half in enumerate(halves, 1):
        found += pairs.feed(half, f"f:{number}", repr(half).encode())
    found += pairs.rest()
    return found, {count.reason: (count.times, count.first) for count in tally.counts}, pairs


def test_interleaved_halves_meet_and_come_out_in_time():
    halves = [asked("a", 100), asked("b", 90), given("b", 130), given("a", 110)]
    found, counts, pairs = run(halves)
    assert [(p.logged.key, p.at, p.source, p.answer_source, p.logged.took) for p in found] == [
        ("b", 90, "f:2", "f:3", 40),
        ("a", 100, "f:1", "f:4", 10),
    ]
    assert counts == {}
    assert pairs.answered == 2


def test_one_id_for_everything_hides_nothing():
    halves = [half for n in range(50) for half in (asked("x", n, b"%d" % n), given("x", n + 1))]
    found, counts, _ = run(halves)
    assert [p.logged.call.body for p in found] == [b"%d" % n for n in range(50)]
    assert counts == {}
    found, counts, _ = run([asked("x", n, b"%d" % n) for n in range(50)] + [given("x", 99)])
    assert len(found) == 50
    assert found[0].logged.reply is not None
    assert counts == {NO_ANSWER: (49, "f:2")}


def test_a_line_delivered_twice_is_kept_once_and_a_retry_is_not_a_line_delivered_twice():
    halves = [
        asked("a", 1),
        asked("a", 1),
        given("a", 2),
        given("a", 2),
        asked("a", 3),
        given("a", 4),
    ]
    found, counts, _ = run(halves)
    assert len(found) == 2
    assert counts == {TWICE: (2, "f:2")}


def test_halves_alone_are_kept_and_counted():
    found, counts, _ = run([asked("a", 1), given("b", 2), asked("", 3), given("", 4)])
    assert [p.at for p in found] == [1, 2, 3, 4]
    assert counts == {NO_ANSWER: (2, "f:3"), NO_REQUEST: (2, "f:2")}


def test_a_missing_time_is_the_line_befores():
    whole = given("c", None)._replace(call=asked("c", None).call)
    found, counts, _ = run([asked("a", 50), given("a", 60), whole], start=7)
    assert [p.at for p in found] == [50, 60]
    assert counts == {NO_TIME: (1, "f:3")}
    found, _, _ = run([whole], start=7)
    assert [p.at for p in found] == [7]


def test_order_is_restored_within_reach_and_lateness_is_said():
    rng = random.Random(0)
    times = [n + rng.randint(-20, 20) for n in range(1000, 2000)]
    whole = given("", 0)._replace(call=asked("", 0).call)
    found, counts, _ = run([whole._replace(at=at) for at in times], in_order=100)
    assert [p.at for p in found] == sorted(times)
    assert counts == {}
    found, counts, _ = run([whole._replace(at=at) for at in (*times, 5)], in_order=100)
    assert len(found) == 1001
    assert counts == {LATE: (1, "f:1001")}


def test_memory_is_bounded_by_number_and_by_bytes(monkeypatch):
    found, counts, pairs = run([asked(str(n), n) for n in range(1000)], waiting=10)
    assert len(found) == 1000
    assert len(pairs._waiting) == len(pairs._by_key) == 0
    assert counts[NO_ANSWER][0] == 1000
    monkeypatch.setattr(module, "WAITING_BYTES", 50_000)
    pairs = Pairs(Tally())
    for n in range(100):
        list(pairs.feed(asked(str(n), n, b"x" * 10_000), "f", b"%d" % n))
        assert pairs._bytes <= 50_000
