"""From events to detections, pages and orders, turn by turn and without a clock of its own."""

from __future__ import annotations

import http.server
import json
import threading
from datetime import UTC, datetime

import pytest

from casemate.detect.watch import Watch
from casemate.guard.policy import GuardTable, RuleTable
from casemate.notify.pager import Pager
from casemate.notify.settings import ChannelTable, NotifyTable
from casemate.records.detection import Detection
from casemate.records.event import Event
from casemate.store.orders import OrderBook
from casemate.store.pages import PageBook
from casemate.store.telemetry.opening import new_writer, open_query, open_sink
from casemate.workflows.config import Config, Loaded
from casemate.workflows.job import Job, open_workspace
from casemate.workflows.page import SLICE, NearLine, now_us
from tests.detect.traffic import World

RULES = (
    RuleTable(when="record-gap", action="coarsen", for_="2h", scope="model"),
    RuleTable(when="record-gap", action="log"),
)


def hole(writer, sequence, at):
    return Event(
        writer=writer, sequence=sequence, at=at, kind="gap", model="digits", lost=3,
        until=at + 1_000_000, note="the disk was full",
    )  # fmt: skip


@pytest.fixture
def near(tmp_path):
    """A near line over an empty record, its parts beside it."""
    pages = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            pages.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    loaded = Loaded(config=Config(), root=tmp_path)
    channel = ChannelTable(
        kind="webhook", to=f"http://127.0.0.1:{server.server_address[1]}/", at_least="low"
    )
    sink = open_sink(tmp_path / "telemetry", new_writer())
    with open_workspace(None, loaded) as workspace, Job("guard", loaded, workspace) as job:
        book = OrderBook(workspace)
        line = NearLine(
            open_query(tmp_path / "telemetry"),
            Watch(),
            job=job,
            orders=book,
            pager=Pager(NotifyTable(channel=(channel,)), PageBook(workspace), secrets={}),
            policy=GuardTable(rule=RULES),
        )
        line.begin(now_us())
        yield line, sink, job, book, pages
    sink.close()
    server.shutdown()
    server.server_close()


def test_a_detection_is_kept_told_once_and_acted_on_once(near):
    line, sink, job, book, pages = near
    now = now_us()
    sink.append([hole(sink.writer, 0, now)])
    sink.flush()
    first = line.turn(now + 1_000_000)
    assert [one.rule for one in first.detections] == ["record-gap"]
    assert [one for one in job.records if isinstance(one, Detection)] == list(first.detections)
    assert [one.action for one in first.orders] == ["coarsen"]
    (order,) = first.orders
    assert order.scope.model == first.detections[0].model
    assert order.detection == first.detections[0].id
    assert (order.expires - order.at).total_seconds() == 7200
    assert book.active(order.at) == (order,)
    again = line.turn(now + 2_000_000)
    assert (again.events, again.detections, again.orders) == (0, (), ())
    sink.append([hole(sink.writer, 1, now + 2_000_000)])
    sink.flush()
    line.turn(now + 4_000_000)
    assert len(book.active(order.at)) == 1, "the same order is not given twice"
    assert len(pages) <= 1, "one campaign is one page at most"


def test_what_is_older_than_six_hours_is_left_to_a_hunt(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path)
    old = now_us() - 7 * 3600 * 1_000_000
    sink = open_sink(tmp_path / "telemetry", new_writer())
    sink.append([hole(sink.writer, 0, old), hole(sink.writer, 1, now_us())])
    sink.flush()
    with open_workspace(None, loaded) as workspace, Job("guard", loaded, workspace) as job:
        line = NearLine(
            open_query(tmp_path / "telemetry"), Watch(), job=job, orders=OrderBook(workspace),
            pager=None, policy=GuardTable(),
        )  # fmt: skip
        line.begin(now_us())
        assert line.turn(now_us()).events == 1
    sink.close()


def test_a_new_process_knows_what_the_one_before_it_said(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path)
    now = now_us()
    sink = open_sink(tmp_path / "telemetry", new_writer())
    sink.append([hole(sink.writer, 0, now)])
    sink.flush()
    with open_workspace(None, loaded) as workspace:
        turns = []
        for _ in range(2):
            with Job("guard", loaded, workspace) as job:
                line = NearLine(
                    open_query(tmp_path / "telemetry"), Watch(), job=job,
                    orders=OrderBook(workspace), pager=None, policy=GuardTable(),
                )  # fmt: skip
                line.begin(now)
                turns.append(line.turn(now + 1_000_000))
    assert [one.events for one in turns] == [1, 1]
    assert [len(one.detections) for one in turns] == [1, 0]
    sink.close()


HOUR = 3600 * 1_000_000
DESCENT = (RuleTable(when="margin-descent", action="coarsen", for_="1h", scope="principal"),)


class Feed:
    """What arrives: lists of events, each offered once."""

    def __init__(self):
        self.events = []

    def tail(self, after):
        while self.events:
            yield self.events.pop(0)


def line_over(feed, job, workspace, pager=None, rules=()):
    return NearLine(
        feed, Watch(), job=job, orders=OrderBook(workspace), pager=pager,
        policy=GuardTable(rule=rules),
    )  # fmt: skip


def test_a_backlog_is_read_in_slices_and_none_is_lost(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path)
    now = now_us()
    sink = open_sink(tmp_path / "telemetry", new_writer())
    events = [hole(sink.writer, i, now - 10_000_000 + i) for i in range(SLICE + 500)]
    sink.append(events)
    sink.flush()
    feed = Feed()
    feed.events = list(events)
    with open_workspace(None, loaded) as workspace, Job("guard", loaded, workspace) as job:
        for query in (open_query(tmp_path / "telemetry"), feed):
            line = line_over(query, job, workspace)
            assert [line.turn(now).events for _ in range(3)] == [SLICE, 500, 0]
            assert line._watch.record.gaps == SLICE + 500
    sink.close()


def moment(at):
    return datetime.fromtimestamp(at / 1e6, UTC)


def test_an_order_holds_while_what_it_is_for_goes_on_unless_somebody_ends_it(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path)
    world, feed = World(), Feed()
    with open_workspace(None, loaded) as workspace, Job("guard", loaded, workspace) as job:
        book = OrderBook(workspace)
        line = line_over(feed, job, workspace, rules=DESCENT)
        feed.events = world.crowd(600)
        line.turn(world.at + 1_000_000)
        attack = world.descent(700, after=30.0)
        attack, more = attack[:500], attack[500:]
        told, gaps = [], []
        for event in attack:
            feed.events = [event]
            done = line.turn(event.at + 1_000_000)
            told += done.detections
            began = [d for d in told if d.rule == "margin-descent"]
            if began and not book.active(moment(event.at)):
                gaps.append(event.at)
        assert attack[-1].at - began[0].made > 3 * HOUR
        assert gaps == []
        assert len({d.campaign for d in began}) == 1
        now = moment(attack[-1].at)
        for order in book.active(now):
            book.undo(order.id, author="Ann", reason="it is ours", now=now)
        for event in more:
            feed.events = [event]
            assert line.turn(event.at + 1_000_000).orders == ()


def test_a_new_process_pages_nobody_again_for_a_campaign_of_yesterday(tmp_path):
    loaded = Loaded(config=Config(), root=tmp_path)
    world, feed = World(), Feed()
    with open_workspace(None, loaded) as workspace:
        campaigns = []
        for _ in range(2):
            with Job("guard", loaded, workspace) as job:
                line = line_over(feed, job, workspace)
                line.begin(world.at)
                feed.events = world.crowd(600) + world.descent(80)
                found = line.turn(world.at + 50_000_000).detections
                campaigns += [d.campaign for d in found if d.rule == "margin-descent"]
            world.at += 12 * HOUR
    assert len(campaigns) == 2
    assert len(set(campaigns)) == 1


def test_the_events_of_several_guards_are_judged_in_the_order_they_were_asked(tmp_path):
    seen = []

    class Recording(Watch):
        def feed(self, events):
            events = list(events)
            seen.extend(one.at for one in events)
            return super().feed(events)

    loaded = Loaded(config=Config(), root=tmp_path)
    now = now_us()
    sinks = [open_sink(tmp_path / "telemetry", new_writer()) for _ in range(3)]
    with open_workspace(None, loaded) as workspace, Job("guard", loaded, workspace) as job:
        line = NearLine(
            open_query(tmp_path / "telemetry"), Recording(), job=job,
            orders=OrderBook(workspace), pager=None, policy=GuardTable(),
        )  # fmt: skip
        line.begin(now)
        for step in range(4):
            for number, sink in enumerate(sinks):
                at = now + step * 300_000 + number * 1000
                sink.append([Event(writer=sink.writer, sequence=step, at=at, model="m")])
                sink.flush()
            line.turn(now + step * 300_000)
        line.turn(now + 3_000_000)
    assert seen == sorted(seen)
    assert len(seen) == 12
    for sink in sinks:
        sink.close()
