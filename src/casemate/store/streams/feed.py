"""Feed: records of one kind as they arrive from a stream, ready to be taken without waiting."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, Literal, TypeVar

import msgspec

from casemate.errors import FormatError
from casemate.records.event import Event
from casemate.records.order import Order
from casemate.store.streams.frame import unpack

T = TypeVar("T", Event, Order)
Topic = Literal["events", "orders"]
_AHEAD = 64
"""Messages a feed reads ahead of whoever takes from it."""
_LATE = 4096
"""An event that comes later than so many of its writer's is taken for a repetition."""


class Feed(Generic[T]):
    """Records of one kind as they arrive; taken from any thread."""

    def __init__(self, kind: type[T], topic: Topic, key: bytes | None) -> None:
        self._decoder = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type]
        self._topic = topic
        self._key = key
        self._arrived: deque[list[T]] = deque()
        self._news = threading.Event()
        self._last: dict[str, int] = {}
        self._holes: dict[str, set[int]] = {}
        self.unread = 0
        """Messages that could not be read: not ours, another key, another version."""
        self.why = ""
        """What was wrong with the last of them."""

    def take(self, wait: float = 0.0) -> list[T]:
        """Return what has arrived, oldest first; with nothing there, wait that many seconds."""
        if not self._arrived and wait > 0:
            self._news.wait(wait)
        self._news.clear()
        taken: list[T] = []
        while self._arrived:
            taken += self._arrived.popleft()
        return taken

    def full(self) -> bool:
        """Say whether it is so far ahead that reading should rest."""
        return len(self._arrived) >= _AHEAD

    def give(self, data: bytes) -> None:
        """Take one message from the broker; one that cannot be read is counted and left."""
        try:
            records = self._decoder.decode(unpack(self._topic, data, self._key))
        except (FormatError, msgspec.DecodeError, RecursionError) as error:
            self.unread += 1
            self.why = str(error)
            return
        fresh = [one for one in records if self._new(one)]
        if fresh:
            self._arrived.append(fresh)
            self._news.set()

    def _new(self, record: T) -> bool:
        """Say whether an event was not seen before: brokers may deliver one twice, or late."""
        if not isinstance(record, Event):
            return True
        sequence = record.sequence
        last = self._last.get(record.writer, -1)
        holes = self._holes.setdefault(record.writer, set())
        if sequence <= last:
            late = sequence in holes
            holes.discard(sequence)
            return late
        holes.update(range(max(last + 1, sequence - _LATE), sequence))
        if len(holes) > 2 * _LATE:
            self._holes[record.writer] = {one for one in holes if one >= sequence - _LATE}
        self._last[record.writer] = sequence
        return True
