"""Several guards, each with a record and a book of its own, and one picture of them all."""

import time
from datetime import timedelta

import msgspec
import pytest

from casemate.errors import StoreError
from casemate.store.orders import OrderBook
from casemate.store.streams.opening import open_stream
from casemate.store.streams.relay import Arrivals, OrderRelay, Tee
from casemate.store.telemetry.sink import Receipt
from casemate.store.workspace import Workspace
from tests.servers.nats import NatsServer
from tests.store.streams.made import ANA, BO, EVE, KEY, NOW, events, order, until


@pytest.fixture
def server(tmp_path):
    with NatsServer(tmp_path / "nats") as running:
        yield running


class Guard:
    """One guard's side: a workspace of its own, and the relay to the others."""

    def __init__(self, folder, server):
        self.workspace = Workspace.open(folder)
        self.book = OrderBook(self.workspace)
        self.stream = open_stream(server.url, key=KEY)
        self.relay = OrderRelay(self.stream, self.book)

    def holds(self, ident, now=NOW):
        self.relay.turn(now)
        return ident in {one.id for one in self.book.active(now)}

    def close(self):
        self.stream.close(1.0)
        self.workspace.close()


def holding(guards, ident):
    """Say of each guard whether it holds an order, after a turn of all of them."""
    return [one.holds(ident) for one in guards]


@pytest.fixture
def guards(tmp_path, server):
    made = [Guard(tmp_path / f"guard-{n}", server) for n in range(3)]
    yield made
    for one in made:
        one.close()


def test_an_order_holds_everywhere_is_undone_everywhere_and_ends_by_itself(guards, server):
    given, brief = order(), order(expires=NOW + timedelta(minutes=5))
    guards[0].book.add(given)
    guards[1].book.add(brief)
    started = time.monotonic()
    for ident in (given.id, brief.id):
        assert until(lambda ident=ident: holding(guards, ident) == [True] * 3, 30)
    assert time.monotonic() - started < 30
    guards[2].book.undo(given.id, author="bo", reason="our own scanner", now=NOW)
    assert until(lambda: holding(guards, given.id) == [False] * 3, 30)
    for one in guards:
        assert one.holds(brief.id)
        assert not one.holds(brief.id, NOW + timedelta(minutes=5))


def test_it_reaches_guards_that_were_away_through_restarts_of_everything(tmp_path, guards, server):
    given = order()
    server.stop()
    guards[0].book.add(given)
    guards[0].relay.turn(NOW)
    assert guards[0].holds(given.id)
    guards[2].close()
    server.start()
    assert until(lambda: guards[1].holds(given.id), 30)
    server.stop()
    guards[2] = Guard(tmp_path / "guard-2", server)
    assert not guards[2].holds(given.id)
    server.start()
    assert until(lambda: guards[2].holds(given.id), 30)
    guards[2].close()
    server.stop()
    guards[2] = Guard(tmp_path / "guard-2", server)
    assert guards[2].holds(given.id)  # from its own book, with no broker there


def test_orders_do_not_go_round_and_ended_ones_stay_home(guards):
    old = order(expires=NOW + timedelta(seconds=1))
    guards[0].book.add(old)
    guards[0].book.add(order())
    later = NOW + timedelta(hours=0.5)
    assert until(lambda: all(one.relay.turn(later) or one.book.active(later) for one in guards))
    for _ in range(5):
        for one in guards:
            one.relay.turn(later)
    count = len(guards[1].stream.orders().take(1.0))
    assert count == 1
    assert len(guards[1].book.history()) == 1


def test_an_order_that_cannot_be_is_counted_and_the_next_is_obeyed(guards):
    good = order()
    wrong = msgspec.structs.replace(order(), expires=NOW - timedelta(days=1))
    guards[0].stream.send(wrong, good)
    assert until(lambda: guards[1].holds(good.id))
    assert guards[1].relay.refused == 1


class Journal:
    """A sink that keeps in memory, and can be full."""

    writer = ANA

    def __init__(self):
        self.kept, self.full, self.closed = [], False, False

    def append(self, batch):
        if self.full:
            raise StoreError("full")
        self.kept += batch
        return Receipt(self.writer, batch[0].sequence, batch[-1].sequence, durable=True)

    def flush(self):
        return None

    def close(self):
        self.closed = True


def test_events_of_three_guards_arrive_as_one_picture_and_each_keeps_its_own(guards):
    everything = Arrivals(guards[0].stream, since=0)
    journals = [Journal() for _ in guards]
    for one, journal, writer in zip(guards, journals, (ANA, BO, EVE), strict=True):
        tee = Tee(journal, one.stream)
        assert tee.append(events(writer, 0, 40)).durable
        assert tee.flush() is None
        tee.close()
    found = []
    assert until(lambda: found.extend(everything.tail({BO: 9})) or len(found) == 110)
    assert {one.writer for one in found} == {ANA, BO, EVE}
    assert all(len(one.kept) == 40 and one.closed for one in journals)
    assert everything.unread == 0


def test_events_that_others_overtook_are_yielded_once(guards):
    everything, stream, read, found = Arrivals(guards[0].stream, since=0), guards[1].stream, {}, []

    def turn():
        for one in everything.tail(read):
            read[one.writer] = max(one.sequence, read.get(one.writer, -1))
            found.append(one.sequence)

    for first, last, count in ((4, 8, 4), (0, 4, 8), (2, 6, 8), (8, 9, 9)):
        stream.append(events(ANA, first, last))
        assert stream.flush()
        assert until(lambda count=count: turn() or len(found) >= count)
    assert found == [4, 5, 6, 7, 0, 1, 2, 3, 8]


def test_what_the_journal_cannot_keep_is_carried_and_still_said(guards):
    journal = Journal()
    journal.full = True
    tee = Tee(journal, guards[0].stream)
    assert tee.writer == ANA
    with pytest.raises(StoreError):
        tee.append(events(ANA, 0, 3))
    arrivals, found = Arrivals(guards[1].stream, 0), []
    assert until(lambda: found.extend(arrivals.tail({})) or len(found) == 3)
