"""Relay: what ties a guard's own record and book of orders to the stream that all guards share.

Each guard keeps its journal and its book, so that it goes on alone while the broker is away; the
stream makes one picture of all their events and brings every order everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from casemate.records.event import Event
    from casemate.records.order import Order
    from casemate.store.orders import OrderBook
    from casemate.store.streams.stream import Stream
    from casemate.store.telemetry.sink import EventSink, Receipt


class Tee:
    """An EventSink that keeps events where the first one does, and carries them as well."""

    def __init__(self, first: EventSink, stream: Stream) -> None:
        self._first = first
        self._stream = stream

    @property
    def writer(self) -> str:
        """The first sink's."""
        return self._first.writer

    def append(self, events: Sequence[Event]) -> Receipt:
        """Carry the events and keep them; the receipt is that of keeping.

        The stream never waits and records by itself what it has no room for.

        Raises:
            StoreError: They cannot be kept; they were carried all the same.
        """
        self._stream.append(events)
        return self._first.append(events)

    def flush(self) -> Receipt | None:
        """Make what was kept durable."""
        return self._first.flush()

    def close(self) -> None:
        """Close the first sink; the stream stays open, as orders use it."""
        self._first.close()


class OrderRelay:
    """Keeps one guard's book of orders and the stream's orders the same."""

    def __init__(self, stream: Stream, book: OrderBook) -> None:
        """Begin to listen; what the stream holds from before is heard as well."""
        self._stream = stream
        self._book = book
        self._feed = stream.orders()
        self._known: set[str] = set()
        self._sent = 0
        self.refused = 0
        """Orders that were heard and cannot be obeyed."""

    def turn(self, now: datetime) -> list[Order]:
        """Take over orders from elsewhere, send our own, and return those that were new here.

        Raises:
            StoreError: The book cannot be written, or too many orders wait for the broker.
        """
        learned = []
        for order in self._feed.take():
            self._known.add(order.id)
            try:
                if self._book.add(order):
                    learned.append(order)
            except UsageError:
                self.refused += 1
        for number, order in self._book.history(self._sent):
            if order.id not in self._known and order.expires > now:
                self._stream.send(order)
                self._known.add(order.id)
            self._sent = number
        return learned


class Arrivals:
    """The events of all guards as they arrive, with the `tail` that near-line detection reads."""

    def __init__(self, stream: Stream, since: int) -> None:
        """Listen to what was carried since a time, in microseconds since the epoch, and on."""
        self._feed = stream.events(since)
        self._floor: dict[str, int] | None = None

    @property
    def unread(self) -> int:
        """Messages that could not be read."""
        return self._feed.unread

    def tail(self, after: Mapping[str, int]) -> Iterator[Event]:
        """Yield what has arrived, each event once, also one that others of its writer overtook.

        What was read before, as the first call says, is left out; later calls go on from there.
        """
        if self._floor is None:
            self._floor = dict(after)
        for event in self._feed.take():
            if event.sequence > self._floor.get(event.writer, -1):
                yield event
