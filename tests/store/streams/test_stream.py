"""What a stream promises, held against real brokers: a NATS server and librdkafka's Kafka."""

import gc
import itertools
import time

import pytest

from casemate.errors import StoreError
from casemate.store.orders import OrderBook
from casemate.store.streams.opening import open_stream
from casemate.store.streams.outbox import Outbox
from casemate.store.workspace import Workspace
from tests.servers.kafka import KafkaCluster
from tests.servers.nats import NatsServer
from tests.store.streams.made import ANA, BO, EVE, KEY, NOW, events, order, taken, until

# aiokafka itself forgets the connection it is opening when that is called off.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed AIOKafkaConnection:ResourceWarning")
_names = (f"test-{n}" for n in itertools.count())


class Broker:
    """A broker that can go away and come back, and a stream of its own for each test."""

    def __init__(self, server):
        self._server = server
        self.name = next(_names)

    def open(self, **settings):
        settings = {"key": KEY, **settings}
        return open_stream(f"{self._server.url}/{self.name}", **settings)

    def away(self):
        (self._server.stop if isinstance(self._server, NatsServer) else self._server.down)()

    def back(self):
        (self._server.start if isinstance(self._server, NatsServer) else self._server.up)()


@pytest.fixture(scope="module", params=["nats", "kafka"])
def server(request, tmp_path_factory):
    kinds = {
        "nats": lambda: NatsServer(tmp_path_factory.mktemp("nats")),
        "kafka": KafkaCluster,
    }
    with kinds[request.param]() as running:
        yield running


@pytest.fixture
def broker(server):
    yield Broker(server)
    gc.collect()


def numbers(found, writer):
    return [one.sequence for one in found if one.writer == writer]


def test_events_of_three_guards_meet_whole_and_in_order(broker):
    with broker.open() as one, broker.open() as two, broker.open() as three:
        early = three.events()
        for n in range(0, 300, 10):
            for stream, writer in ((one, ANA), (two, BO), (three, EVE)):
                stream.append(events(writer, n, n + 10))
        assert all(stream.flush() for stream in (one, two, three))
        late = one.events()
        for feed in (early, late):
            found = taken(feed, 900)
            assert len(found) == 900
            for writer in (ANA, BO, EVE):
                assert numbers(found, writer) == list(range(300))
            assert feed.unread == 0


def test_an_order_reaches_every_guard_and_holds_there(broker, tmp_path):
    given = order()
    with broker.open() as author, broker.open() as guard:
        listening = guard.orders()
        author.send(given)
        started = time.monotonic()
        assert taken(listening, 1) == [given]
        assert time.monotonic() - started < 10
    with broker.open() as later, Workspace.open(tmp_path / ".casemate") as workspace:
        book = OrderBook(workspace)
        for one in taken(later.orders(), 1):
            book.add(one)
        assert book.active(NOW) == (given,)


def test_while_the_broker_is_away_nothing_waits_and_afterwards_nothing_is_missing(broker):
    with broker.open() as writer, broker.open() as reader:
        feed = reader.events()
        orders = reader.orders()
        writer.append(events(ANA, 0, 50))
        assert numbers(taken(feed, 50), ANA) == list(range(50))
        broker.away()
        slowest = 0.0
        for n in range(50, 1050, 10):
            batch = events(ANA, n, n + 10)
            started = time.perf_counter()
            assert writer.append(batch)
            slowest = max(slowest, time.perf_counter() - started)
        assert slowest < 0.2
        writer.send(held := order())
        assert not writer.flush(0.3)
        assert writer.waiting > 0
        broker.back()
        started = time.monotonic()
        assert taken(orders, 1, 30) == [held]
        assert time.monotonic() - started < 30
        assert numbers(taken(feed, 1000, 30), ANA) == list(range(50, 1050))
        assert writer.flush(10)
        assert feed.take(0.5) == []
        assert (writer.lost, feed.unread) == (0, 0)


def test_a_broker_that_is_not_there_yet_is_waited_for(broker):
    broker.away()
    try:
        with broker.open() as writer:
            writer.append(events(ANA, 0, 5))
            assert not writer.flush(0.2)
            broker.back()
            with broker.open() as reader:
                assert len(taken(reader.events(), 5, 30)) == 5
    finally:
        broker.back()


def test_without_room_events_are_counted_and_the_gap_is_on_record(broker):
    broker.away()
    try:
        with broker.open(room=20_000) as writer:
            taken_ = [writer.append(events(ANA, n, n + 10)) for n in range(0, 1000, 10)]
            assert taken_[0]
            assert not taken_[-1]
            lost = 10 * taken_.count(False)
            assert writer.lost == lost
            broker.back()
            assert writer.flush(30)
            with broker.open() as reader:
                found = taken(reader.events(), 1000 - lost + 1, 30)
    finally:
        broker.back()
    (gap,) = [one for one in found if one.kind == "gap"]
    first = 1000 - lost
    assert numbers(found, ANA) == list(range(first))
    assert (gap.lost, gap.at, gap.until) == (lost, 1000 * first, 999_000)
    assert f"{ANA}:{first}" in gap.note


def test_an_event_no_broker_takes_is_lost_alone_and_on_record(broker):
    huge = events(ANA, 5, 6, principal="A" * 2_000_000)
    with broker.open() as writer, broker.open() as reader:
        writer.append([*events(ANA, 0, 5), *huge, *events(ANA, 6, 10)])
        found = taken(reader.events(), 10)
    assert numbers(found, ANA) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert [(one.lost, one.at) for one in found if one.kind == "gap"] == [(1, 5000)]


def test_messages_of_strangers_are_counted_and_never_obeyed(broker):
    with broker.open(key=b"another key, of somebody else..") as stranger:
        stranger.send(order())
        for number, data in enumerate((b"", b"\x00\xff", b"casemate/1 " + b"0" * 64 + b"\n[]")):
            stranger._wait(stranger._carrier.put("orders", "w", f"x{number}", data))
        assert stranger.flush()
    with broker.open() as ours:
        feed = ours.orders()
        ours.send(good := order())
        assert taken(feed, 1) == [good]
        assert until(lambda: feed.unread == 4)
        assert feed.take(0.2) == []


def test_listening_from_a_time_on_leaves_out_what_is_older(broker):
    with broker.open() as writer:
        for n in range(20):
            writer.append(events(ANA, n, n + 1))
            assert writer.flush()
        time.sleep(0.05)
        middle = time.time_ns() // 1000
        time.sleep(0.05)
        for n in range(20, 30):
            writer.append(events(ANA, n, n + 1))
            assert writer.flush()
        assert numbers(taken(writer.events(since=middle), 10), ANA) == list(range(20, 30))
        future = writer.events(since=middle + 3_600_000_000)
        assert future.take(1.0) == []


def test_orders_that_cannot_wait_are_refused_out_loud(broker):
    with broker.open() as stream:
        stream._boxes["orders"] = Outbox(10)
        with pytest.raises(StoreError, match="too many orders"):
            stream.send(order())


def test_closing_ends_though_the_broker_is_away(broker):
    stream = broker.open()
    stream.append(events(ANA, 0, 1))
    assert stream.flush()
    feed = stream.events()
    broker.away()
    try:
        stream.append(events(ANA, 1, 2))
        started = time.monotonic()
        stream.close(0.3)
        stream.close(0.3)
        assert time.monotonic() - started < 9
        assert stream.append(events(ANA, 2, 3)) in (True, False)
        feed.take()
    finally:
        broker.back()
