"""A feed gives each event once, in order, and hostile messages never stop it."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from casemate.records.event import Event
from casemate.records.order import Order
from casemate.store.streams.feed import Feed
from casemate.store.streams.frame import pack
from tests.store.streams.made import ANA, BO, KEY, events, order


def message(records, topic="events", key=KEY):
    return pack(topic, msgspec.json.encode(records), key)


def test_an_event_delivered_twice_is_given_once():
    feed = Feed(Event, "events", KEY)
    feed.give(message(events(ANA, 0, 3)))
    feed.give(message(events(BO, 0, 1)))
    feed.give(message(events(ANA, 2, 5)))
    feed.give(message(events(ANA, 0, 5)))
    assert [(one.writer, one.sequence) for one in feed.take()] == [
        *((ANA, n) for n in range(3)), (BO, 0), (ANA, 3), (ANA, 4),
    ]  # fmt: skip
    assert feed.take() == []


def test_events_that_come_late_are_not_taken_for_repetitions():
    feed = Feed(Event, "events", KEY)
    for first, last in ((8, 12), (4, 8), (8, 12), (0, 4), (0, 12), (100_000, 100_001), (50, 60)):
        feed.give(message(events(ANA, first, last)))
    found = [one.sequence for one in feed.take()]
    assert sorted(found) == [*range(12), 100_000]
    assert sum(map(len, feed._holes.values())) <= 8192


def test_what_cannot_be_read_is_counted_and_the_rest_goes_on():
    feed = Feed(Order, "orders", KEY)
    good = order()
    bad = [
        b"",
        b"\xff" * 1000,
        pack("orders", b"[" * 100_000, KEY),
        pack("orders", b'[{"schema":"order/9"}]', KEY),
        pack("orders", b'{"schema":"order/1"}', KEY),
        message([good], "orders", b"x" * 32),
        message([good], "detections"),
    ]
    for data in bad:
        feed.give(data)
    feed.give(message([good], "orders"))
    assert feed.take() == [good]
    assert feed.unread == len(bad)
    assert "detections" in feed.why or "seal" in feed.why


@given(st.binary(max_size=200))
def test_no_sealed_bytes_stop_it_either(body):
    feed = Feed(Event, "events", KEY)
    feed.give(pack("events", body, KEY))
    assert feed.take() == []


def test_it_says_when_reading_should_rest():
    feed = Feed(Event, "events", KEY)
    for n in range(64):
        assert not feed.full()
        feed.give(message(events(ANA, n, n + 1)))
    assert feed.full()
    feed.take()
    assert not feed.full()
