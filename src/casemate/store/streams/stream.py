"""Stream: events meet in a broker, and orders reach every guard from there.

The caller's side is plain functions that never wait for the broker; a thread with an event loop of
its own does the carrying, in order, and goes on for as long as the broker is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, TypeVar

import msgspec

from casemate.errors import StoreError
from casemate.records.event import Event
from casemate.records.make import make
from casemate.records.order import Order
from casemate.store.streams.carrier import pause
from casemate.store.streams.feed import Feed, T, Topic
from casemate.store.streams.frame import pack
from casemate.store.streams.outbox import Outbox, Piece

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from concurrent.futures import Future
    from typing import Any

    from casemate.store.streams.carrier import Carrier
    from casemate.store.streams.outbox import Loss

R = TypeVar("R")
_TOPICS: tuple[Topic, ...] = ("events", "orders")
_ENDING = 2.0
"""Seconds that what is cancelled has to let go of its connections."""
_MESSAGE = 256 * 1024
"""Bytes of records in one message; brokers take a megabyte unless told otherwise."""


class Stream:
    """An open stream; `open_stream` of `casemate.store.streams.opening` makes one."""

    def __init__(
        self,
        carrier: Callable[[], Carrier],
        *,
        key: bytes | None,
        room: int = 64 * 1024 * 1024,
    ) -> None:
        """Begin to carry; the broker need not be there yet.

        Args:
            carrier: Makes the broker's side, inside the loop it is used from.
            key: Seals messages; with None they are not sealed and anybody's are read.
            room: Bytes of each kind that may wait for the broker.
        """
        self._key = key
        self._boxes = {topic: Outbox(room) for topic in _TOPICS}
        self._gap_writer = f"w-{os.urandom(8).hex()}"
        self._gaps = 0
        self.trouble = ""
        """Why the broker did not take or give the last time; empty while it does."""
        self._open = True
        self._tasks: list[Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="casemate-stream", daemon=True)
        self._thread.start()
        self._wake = {topic: asyncio.Event() for topic in _TOPICS}
        self._carrier = self._wait(_made(carrier))
        for topic in _TOPICS:
            self._begin(self._carry(topic))

    @property
    def lost(self) -> int:
        """Records that were never carried and never will be."""
        return sum(box.lost for box in self._boxes.values())

    @property
    def waiting(self) -> int:
        """Records that wait to be carried."""
        return sum(len(box) for box in self._boxes.values())

    def send(self, *orders: Order) -> None:
        """Carry orders to everybody who listens, once the broker is there.

        Raises:
            StoreError: Too many wait already.
        """
        for order in orders:
            piece = Piece(msgspec.json.encode(order), order.id, time.time_ns() // 1000)
            if not self._boxes["orders"].offer([piece]):
                raise StoreError(f"too many orders wait for the broker: {self.trouble}")
            self._rouse("orders")

    def append(self, events: Sequence[Event]) -> bool:
        """Carry events if there is room, without waiting, and say whether there was.

        What finds no room is counted, and a gap event in the stream says how many and from when.
        """
        taken = self._boxes["events"].offer(
            [
                Piece(msgspec.json.encode(one), f"{one.writer}:{one.sequence}", one.at, one.writer)
                for one in events
            ]
        )
        self._rouse("events")
        return taken

    def events(self, since: int | None = None) -> Feed[Event]:
        """Listen to the events of every guard, those kept since a time (microseconds) first."""
        return self._listen(Feed(Event, "events", self._key), "events", since)

    def orders(self) -> Feed[Order]:
        """Listen to orders, all that the broker keeps first; `OrderBook.add` takes them as is."""
        return self._listen(Feed(Order, "orders", self._key), "orders", None)

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until the broker has all there is, and say whether it does."""
        end = time.monotonic() + timeout
        while self.waiting and time.monotonic() < end:
            time.sleep(0.005)
        return not self.waiting

    def close(self, timeout: float = 5.0) -> None:
        """Flush for as long as there is time, and let go; safe to call twice."""
        if not self._open:
            return
        self.flush(timeout)
        self._open = False
        for task in self._tasks:
            task.cancel()
        # A broker that hangs must not keep the process from ending.
        with contextlib.suppress(TimeoutError):
            self._wait(self._carrier.close(), 5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(_end())
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, R], timeout: float = 15.0) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.run_coroutine_threadsafe(work, self._loop)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: Future[None]) -> None:
        """Show a fault of our own, which would otherwise end the carrying in silence."""
        if not task.cancelled() and task.exception() is not None:
            self.trouble = f"stopped by a fault: {task.exception()!r}"

    def _rouse(self, topic: Topic) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._wake[topic].set)

    def _told(self, trouble: str) -> None:
        self.trouble = trouble

    def _listen(self, feed: Feed[T], topic: Topic, since: int | None) -> Feed[T]:
        self._begin(self._follow(feed, topic, since))
        return feed

    async def _follow(self, feed: Feed[T], topic: Topic, since: int | None) -> None:
        async for data in self._carrier.read(topic, since, self._told):
            while feed.full():
                await asyncio.sleep(0.05)
            feed.give(data)

    async def _carry(self, topic: Topic) -> None:
        box, wake = self._boxes[topic], self._wake[topic]
        while True:
            pieces = box.peek(_MESSAGE)
            if pieces:
                if await self._put(topic, pieces):
                    box.done(len(pieces))
                elif len(pieces) > 1:
                    # One of them is too large for the broker: each by itself tells which.
                    for one in pieces:
                        await self._single(topic, box, one)
                else:
                    box.refused(1)
            loss = box.loss() if topic == "events" else None
            if loss is not None:
                await self._put(topic, [self._gap(loss)])
            if not len(box):
                wake.clear()
                if not len(box):
                    await wake.wait()

    async def _single(self, topic: Topic, box: Outbox, piece: Piece) -> None:
        if await self._put(topic, [piece]):
            box.done(1)
        else:
            box.refused(1)

    async def _put(self, topic: Topic, pieces: Sequence[Piece]) -> bool:
        """Store pieces as one message, for as long as it takes; False when it is never taken."""
        body = b"[" + b",".join(one.body for one in pieces) + b"]"
        data = pack(topic, body, self._key)
        ident = f"{pieces[0].ident}-{len(pieces)}"
        tries = 0
        while True:
            try:
                await self._carrier.put(topic, pieces[0].key, ident, data)
            except ConnectionError as error:
                self.trouble = str(error) or type(error).__name__
                await asyncio.sleep(pause(tries))
                tries += 1
            except StoreError as error:
                self.trouble = str(error)
                return False
            else:
                self.trouble = ""
                return True

    def _gap(self, loss: Loss) -> Piece:
        event = make(
            Event,
            writer=self._gap_writer,
            sequence=self._gaps,
            at=loss.since,
            until=loss.until,
            kind="gap",
            lost=loss.pieces,
            note=f"not carried by the stream, from event {loss.first} on",
        )
        self._gaps += 1
        return Piece(
            msgspec.json.encode(event), f"{event.writer}:{event.sequence}", event.at, event.writer
        )


async def _made(carrier: Callable[[], Carrier]) -> Carrier:
    return carrier()


async def _end() -> None:
    """Let everything in this loop end: reading lets go of its connections as it does."""
    loop = asyncio.get_running_loop()
    end = loop.time() + _ENDING
    while (left := asyncio.all_tasks() - {asyncio.current_task()}) and loop.time() < end:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_ENDING)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(loop.shutdown_asyncgens(), _ENDING)
    await asyncio.sleep(0)  # transports that were closed say so in the next round
