"""Narrow questions over events: counted right, asked once, answered from few files."""

import threading

import msgspec
import pytest

from casemate.records.event import Event, Measures
from casemate.store.telemetry.journal import Journal
from casemate.workflows import traffic
from casemate.workflows.traffic import MINUTE, Traffic, width_of
from tests.store.telemetry.places import place

NOON = 1_795_262_400_000_000  # 2026-11-21 12:00:00 UTC
WRITER = "w-00000000000000cc"


def event(number, principal, minute, **fields):
    measures = fields.pop("measures", Measures())
    given = {"model": "fraud", "status": 200, "sequence": number, "writer": WRITER}
    at = NOON + minute * MINUTE + number
    return Event(principal=principal, at=at, measures=measures, **{**given, **fields})


@pytest.fixture
def made(tmp_path):
    made = place(tmp_path)
    flipped = Measures(near=0.9, flipped=True, label=3)
    journal = Journal(made.folder, WRITER, window=0)
    journal.append(
        [
            event(0, "eve", 0, measures=flipped),
            event(1, "eve", 0, kind="refused"),
            event(2, "ann", 1),
            event(3, "eve", 5, model="spam", measures=flipped),
            event(4, "", 5, kind="gap", lost=7, rows=7, model=""),
        ]
    )
    journal.close()
    made.seal()
    return made


@pytest.fixture
def asked(made):
    return Traffic(made.folder)


def test_principals_are_counted_apart(asked):
    line = asked.timeline(NOON, NOON + 6 * MINUTE, principals=["eve"])
    assert sum(one.named for one in line.bars) == 3
    assert sum(one.other for one in line.bars) == 1
    assert sum(one.refused for one in line.bars) == 1
    assert sum(one.flips for one in line.bars) == 2
    assert [one.at for one in line.bars] == sorted(one.at for one in line.bars)
    assert all(NOON <= one.at < NOON + 6 * MINUTE for one in line.bars)


def test_one_model_and_one_principal_alone(asked):
    span = (NOON, NOON + 6 * MINUTE)
    spam = asked.timeline(*span, model="spam", principals=["eve"])
    assert sum(one.named + one.other for one in spam.bars) == 1
    only = asked.timeline(*span, principals=["eve"], only=True)
    assert sum(one.other for one in only.bars) == 0
    assert sum(one.named for one in only.bars) == 3
    assert asked.timeline(*span, principals=["nobody' OR '1'='1"], only=True).bars == ()


def test_what_is_known_of_a_principal(asked):
    record = asked.of("eve")
    first, second = record.seen
    assert (first.model, first.inputs, first.refused, first.repeats, first.flips) == (
        "fraud", 2, 1, 1, 1,
    )  # fmt: skip
    assert second.model == "spam"
    assert sum(one.other for one in record.timeline.bars) == 3
    assert [one.id for one in asked.latest("eve", 2)] == [f"{WRITER}:3", f"{WRITER}:1"]
    assert asked.of("nobody").seen == ()
    assert asked.of("nobody").timeline is None
    assert asked.of("eve", NOON + 2 * MINUTE).seen == (second,)


def test_events_are_found_by_id_and_nothing_else_is(asked):
    wanted = [f"{WRITER}:3", f"{WRITER}:0", f"{WRITER}:99", "x", f"{WRITER}:-1", ":", "w'--:1"]
    assert [one.id for one in asked.events(wanted)] == [f"{WRITER}:0", f"{WRITER}:3"]
    assert asked.events(wanted, NOON + 2 * MINUTE, NOON + 9 * MINUTE)[0].id == f"{WRITER}:3"
    assert asked.events([]) == ()


def test_holes_are_told(asked):
    (gap,) = asked.gaps()
    assert (gap.lost, gap.writer) == (7, WRITER)


def test_the_newest_event_is_known_sealed_or_not(made, asked):
    assert asked.newest() == NOON + 5 * MINUTE + 4
    assert asked.events_kept() == 5
    journal = Journal(made.folder, WRITER[:-1] + "d", window=0)
    journal.append([msgspec.structs.replace(event(0, "bob", 60), writer=WRITER[:-1] + "d")])
    journal.flush()
    assert Traffic(made.folder).newest() == NOON + 60 * MINUTE
    journal.close()


def test_of_a_large_record_the_newest_events_come_first(made, asked, monkeypatch):
    assert asked.lately() is None
    monkeypatch.setattr(traffic, "LATELY", 2)
    assert asked.lately() is None  # one segment is all there is
    later = WRITER[:-1] + "d"
    journal = Journal(made.folder, later, window=0)
    fresh = [msgspec.structs.replace(event(n, "eve", 60), writer=later) for n in range(3)]
    journal.append(fresh)
    journal.close()
    made.seal()
    since = asked.lately()
    assert since == NOON + 60 * MINUTE
    assert [one.inputs for one in asked.of("eve", since).seen] == [3]
    monkeypatch.setattr(traffic, "LATELY", 4)
    assert asked.lately() is None


def test_an_empty_place_answers_too(tmp_path):
    asked = Traffic(tmp_path / "none")
    assert asked.newest() is None
    assert asked.gaps() == ()
    assert asked.timeline(NOON, NOON + MINUTE).bars == ()


def test_segments_outside_the_window_are_not_read(made, asked):
    for path in (made.folder / "segments").iterdir():
        path.write_bytes(b"not a segment")
    later = NOON + 3600 * 1_000_000
    assert asked.timeline(later, later + MINUTE).bars == ()


def test_an_answer_is_remembered_as_long_as_it_holds(made):
    now = [0.0]
    asked = Traffic(made.folder, clock=lambda: now[0])
    times = []
    real = asked._local.sql
    asked._local.sql = lambda *given, **named: times.append(1) or real(*given, **named)
    for _ in range(3):
        asked.of("eve")
    assert len(times) == 1
    now[0] += traffic._FRESH + 1
    asked.of("eve")
    assert len(times) == 2
    # A window that is over holds for longer.
    asked.timeline(NOON - 2 * traffic.DAY, NOON - traffic.DAY)
    now[0] += traffic._FRESH + 1
    asked.timeline(NOON - 2 * traffic.DAY, NOON - traffic.DAY)
    assert len(times) == 3


def test_two_who_ask_at_once_ask_once(made):
    asked = Traffic(made.folder)
    times, go = [], threading.Event()
    real = asked._local.sql

    def slow(*given, **named):
        times.append(1)
        go.wait(30)
        return real(*given, **named)

    asked._local.sql = slow
    threads = [threading.Thread(target=asked.of, args=("eve",)) for _ in range(4)]
    for one in threads:
        one.start()
    while not times:
        pass
    go.set()
    for one in threads:
        one.join()
    assert times == [1]


def test_only_so_much_is_remembered(made, monkeypatch):
    monkeypatch.setattr(traffic, "_MOST", 3)
    asked = Traffic(made.folder)
    for number in range(6):
        asked.of(f"user-{number}")
    assert len(asked._answers) == 3
    assert len(asked._locks) <= 4


@pytest.mark.parametrize("minutes", [0, 1, 60, 60 * 24, 60 * 24 * 30, 60 * 24 * 3000])
def test_a_plot_has_few_bars(minutes):
    span = minutes * MINUTE
    assert span / width_of(NOON, NOON + span) <= traffic.BARS + 1


def test_the_place_of_a_case_is_opened_once(made):
    assert traffic.opened(str(made.folder)) is traffic.opened(str(made.folder))
