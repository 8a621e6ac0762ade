"""Events arrive where [[guard.export]] says, once, whatever hangs, refuses or restarts."""

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.guard.policy import ExportTable, GuardTable
from casemate.records.event import Event
from casemate.records.make import make
from casemate.store.telemetry.opening import open_query, open_sink
from casemate.workflows import config, exporting
from casemate.workflows.analysis import Supervisor
from casemate.workflows.config import Config, Loaded
from casemate.workflows.exporting import Export, check, receiver, start
from casemate.workflows.page import AGAIN, now_us
from tests.notify import receivers
from tests.store.streams.made import until

WRITER = "w-" + "a" * 16
SPAN = "resourceSpans"
HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def events(first, last, at=None, **fields):
    when = now_us() if at is None else at
    return [
        make(Event, writer=WRITER, sequence=n, at=when, principal="eve", model="m", **fields)
        for n in range(first, last)
    ]


@pytest.fixture
def place(tmp_path):
    return tmp_path / "telemetry"


@pytest.fixture
def sink(place):
    opened = open_sink(place, WRITER)
    yield opened
    opened.close()


@pytest.fixture
def export(tmp_path, place):
    def make_one(to, kind="ocsf", **fields):
        where = receiver(ExportTable(kind=kind, to=to, **fields), tmp_path, {"T": "t0k"})
        return Export(kind, where, open_query(place), tmp_path / "exports" / "one.json")

    return make_one


def put(sink, *batches):
    for batch in batches:
        sink.append(batch)
    sink.flush()


def uids(text):
    return [json.loads(line)["metadata"]["sequence"] for line in text.splitlines()]


@pytest.mark.parametrize(
    ("kind", "sequence"),
    [
        ("ocsf", lambda one: one["metadata"]["uid"]),
        ("cloudevents", lambda one: f"{one['data']['writer']}:{one['id']}"),
        ("flat", lambda one: one["event.id"]),
    ],
)
def test_a_file_gets_every_event_once_and_goes_on_after_a_restart(
    kind, sequence, tmp_path, sink, export
):
    file = tmp_path / "a b" / "events.jsonl"
    put(sink, events(0, 1200))
    assert export(file.as_uri().replace("%20", " "), kind).turn(now_us())
    put(sink, events(1200, 1203))
    again = export(file.as_uri(), kind)
    assert again.turn(now_us())
    assert again.turn(now_us())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [sequence(one) for one in lines] == [f"{WRITER}:{n}" for n in range(1203)]
    assert (again.progress.delivered, again.progress.refused) == (1203, 0)


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path, sink, export):
    one = export("events.jsonl")
    put(sink, events(0, 2))
    assert one.turn(now_us())
    (tmp_path / "events.jsonl").rename(tmp_path / "events.jsonl.1")
    put(sink, events(2, 4))
    assert one.turn(now_us())
    assert uids((tmp_path / "events.jsonl.1").read_text()) == [0, 1]
    assert uids((tmp_path / "events.jsonl").read_text()) == [2, 3]


def test_a_new_destination_begins_a_few_hours_back(tmp_path, sink, export):
    put(sink, events(0, 3, at=now_us() - 2 * AGAIN), events(3, 5))
    assert export("events.jsonl").turn(now_us())
    assert uids((tmp_path / "events.jsonl").read_text()) == [3, 4]


def test_a_receiver_over_tcp_that_was_away_misses_nothing(sink, export, tmp_path):
    put(sink, events(0, 5))
    away = export(receivers.nobody("tcp"))
    assert not away.turn(now_us())
    assert "127.0.0.1" in away.progress.trouble
    with receivers.tcp() as (to, heard):
        back = export(to)
        assert back.progress.trouble == away.progress.trouble
        assert back.turn(now_us())
        (got,) = heard.wait(1)
    assert uids(got) == [0, 1, 2, 3, 4]
    assert back.progress.trouble == ""
    kept = json.loads((tmp_path / "exports" / "one.json").read_text())
    assert (kept["delivered"], kept["trouble"]) == (5, "")


def test_a_collector_gets_spans_under_its_token_and_later_what_it_had_no_room_for(sink, export):
    put(sink, events(0, 3))
    with receivers.web(503, 401, 200) as (to, heard):
        base = to.partition("/hook")[0]
        one = export(base, "otel", token_env="T")
        assert [one.turn(now_us()) for _ in range(3)] == [False, False, True]
        assert "401" not in one.progress.trouble
    paths = {path for path, _, _ in heard}
    assert paths == {"/v1/traces"}
    assert {headers["authorization"] for _, headers, _ in heard} == {"Bearer t0k"}
    assert len({body for _, _, body in heard}) == 1
    (scope,) = json.loads(heard[-1][2])[SPAN][0]["scopeSpans"]
    assert [one["name"] for one in scope["spans"]] == ["inference m"] * 3
    assert one.progress.delivered == 3


def test_what_a_collector_will_never_take_is_counted_and_the_rest_goes_on(sink, export):
    put(sink, events(0, 4))
    # Four at once, then two, then one, one, two: the first of the singles is refused.
    with receivers.web(400, 413, 422, 200, 200) as (to, heard):
        one = export(to, "otel")
        assert one.turn(now_us())
    assert (one.progress.delivered, one.progress.refused) == (3, 1)
    assert len(heard) == 5


def test_spans_a_collector_threw_away_are_counted():
    assert exporting._rejected(b'{"partialSuccess":{"rejectedSpans":"2","errorMessage":"x"}}') == 2
    for body in (b"", b"{}", b"\xff", b'{"partialSuccess":{"rejectedSpans":"many"}}', b"[]"):
        assert exporting._rejected(body) == 0


def test_a_turn_never_raises(tmp_path, sink, export, monkeypatch):
    put(sink, events(0, 2))
    one = export("events.jsonl")

    def broken(batch):
        if any(each.sequence == 0 for each in batch):
            raise ValueError("cannot be written")
        return b"{}"

    one._render = broken
    assert one.turn(now_us())
    assert (one.progress.delivered, one.progress.refused) == (1, 1)
    monkeypatch.setattr(one, "_query", None)
    assert not one.turn(now_us())
    assert "NoneType" in one.progress.trouble


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"read": 3}'])
def test_a_damaged_memory_begins_anew(content, tmp_path, sink, export):
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "one.json").write_bytes(content)
    put(sink, events(0, 2))
    assert export("events.jsonl").turn(now_us())
    assert uids((tmp_path / "events.jsonl").read_text()) == [0, 1]


@pytest.mark.parametrize(
    ("kind", "to"),
    [
        ("ocsf", "http://collector:4318"),
        ("otel", "tcp://collector:4318"),
        ("otel", "http://"),
        ("otel", "https://user:pass@collector"),
        ("flat", "tcp://siem"),
        ("flat", "udp://siem:514"),
        ("flat", "file://elsewhere/events"),
    ],
)
def test_places_that_cannot_be_are_refused_before_anything_is_served(kind, to, tmp_path):
    with pytest.raises(UsageError):
        check([ExportTable(kind=kind, to=to)], tmp_path, {})


def test_the_published_example_is_taken_and_a_slip_in_it_is_named(tmp_path):
    page = (HOWTO / "share-the-record.md").read_text()
    example = next(one for one in page.split("```toml")[1:] if "guard.export" in one)
    (tmp_path / "casemate.toml").write_text(f"version = 1\n{example.partition('```')[0]}")
    tables = config.read(tmp_path / "casemate.toml").config.guard.export
    assert [one.kind for one in tables] == ["ocsf", "flat", "otel"]
    check(tables, tmp_path, {"COLLECTOR_TOKEN": "t"})
    (tmp_path / "casemate.toml").write_text('[[guard.export]]\nkind = "ocsf"\ntoo = "x"\n')
    with pytest.raises(UsageError) as caught:
        config.read(tmp_path / "casemate.toml")
    assert "'to'" in caught.value.hint


def test_a_token_that_is_not_there_is_said(tmp_path):
    table = ExportTable(kind="otel", to="http://collector", token_env="NOT_THERE")
    with pytest.raises(UsageError, match="NOT_THERE"):
        check([table], tmp_path, {})


def test_a_receiver_that_hangs_holds_up_no_other(tmp_path, place, sink):
    put(sink, events(0, 2))
    with receivers.web("hang") as (hanging, heard), ExitStack() as stack:
        tables = (
            ExportTable(kind="otel", to=hanging), ExportTable(kind="flat", to="events.jsonl"),
        )  # fmt: skip
        made = Loaded(config=Config(guard=GuardTable(export=tables)), root=tmp_path)
        start(made, tmp_path / ".casemate", str(place), until=stack)
        assert until(lambda: (tmp_path / "events.jsonl").exists() and heard)
        before = time.monotonic()
    assert time.monotonic() - before < 12
    assert until(lambda: not any("flat" in one.name for one in threading.enumerate()))


def test_the_analysis_process_delivers(tmp_path, place, sink, monkeypatch):
    monkeypatch.setenv("CASEMATE_KEYS", str(tmp_path / "keys"))
    (tmp_path / "casemate.toml").write_text(
        'version = 1\n[[guard.export]]\nkind = "ocsf"\nto = "out/events.jsonl"\n'
    )
    loaded = config.read(tmp_path / "casemate.toml")
    store = tmp_path / ".casemate"
    store.mkdir()
    put(sink, events(0, 3))
    supervisor = Supervisor(loaded, store, str(place))
    supervisor.start()
    try:
        file = tmp_path / "out" / "events.jsonl"
        assert until(lambda: file.exists() and len(file.read_text().splitlines()) == 3, 60)
    finally:
        supervisor.stop()
    (kept,) = (store / "exports").iterdir()
    assert msgspec.json.decode(kept.read_bytes())["read"] == {WRITER: 2}
