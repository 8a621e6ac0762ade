"""Lines to pairs: a request joined to its answer, each delivered once, in order of time.

Ids come from callers, who may send one id for all they ask: an id joins and never removes. Only a
line that repeats another of its id, its time and its bytes counts as delivered twice.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casemate.guard.logs.record import Logged
    from casemate.guard.logs.tally import Tally

WAITING = 100_000
"""Requests that wait for their answer at once."""
WAITING_BYTES = 256 * 1024 * 1024
REMEMBERED = 200_000
"""Lines among which one that was delivered twice is recognised."""
SORTED = 8_192
"""Pairs among which order is restored."""
SORTED_BYTES = 64 * 1024 * 1024
TWICE = "a line that was delivered twice, kept once"
NO_ANSWER = "a request without its answer in the log"
NO_REQUEST = "an answer without its request in the log"
NO_TIME = "a line without a time; the line before it, or the file, stands in"
LATE = "a line that stands too far from its time to be put in order"


class Pair(NamedTuple):
    """A request and its answer, either of which may be missing."""

    logged: Logged
    """Both halves in one."""
    at: int
    source: str
    """`file.jsonl:1024`, the line of the request where there is one."""
    answer_source: str = ""


class Pairs:
    """Feed it lines in the order of the log; bounded in memory."""

    def __init__(
        self, tally: Tally, *, waiting: int = WAITING, in_order: int = SORTED, start: int = 0
    ) -> None:
        self._tally = tally
        self._waiting: OrderedDict[int, tuple[str, Pair]] = OrderedDict()
        self._by_key: dict[str, deque[int]] = {}
        self._most = waiting
        self._bytes = 0
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._heap: list[tuple[int, int, Pair]] = []
        self._heap_bytes = 0
        self._in_order = in_order
        self._last = start
        """Time of the line before."""
        self._given = 0
        """Time of the last pair given away."""
        self._count = 0
        self.answered = 0
        """Pairs that are whole."""

    def feed(self, logged: Logged, source: str, body: bytes) -> Iterator[Pair]:
        """Take one line; yield the pairs that are whole and in order by now."""
        if logged.key and self._repeated(logged, body):
            self._tally.add(TWICE, source, lost=False)
            return
        if logged.at is None:
            self._tally.add(NO_TIME, source, lost=False)
        else:
            self._last = logged.at
        at = self._last
        if logged.call is not None and logged.reply is not None:
            self.answered += 1
            yield from self._sort(Pair(logged, at, source))
        elif logged.call is not None:
            if not logged.key:
                self._tally.add(NO_ANSWER, source, lost=False)
                yield from self._sort(Pair(logged, at, source))
                return
            yield from self._wait(Pair(logged, at, source))
        else:
            yield from self._answer(logged, at, source)

    def rest(self) -> Iterator[Pair]:
        """Yield what is left, at the end of the log."""
        while self._waiting:
            yield from self._unanswered()
        while self._heap:
            yield self._pop()

    def _repeated(self, logged: Logged, body: bytes) -> bool:
        said = f"{logged.key}\0{logged.at}\0{logged.call is None}\0".encode(
            "utf-8", "surrogatepass"
        )
        mark = hashlib.blake2b(said + body, digest_size=12).digest()
        if mark in self._seen:
            return True
        self._seen[mark] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _wait(self, pair: Pair) -> Iterator[Pair]:
        self._count += 1
        key = pair.logged.key
        self._waiting[self._count] = (key, pair)
        self._by_key.setdefault(key, deque()).append(self._count)
        self._bytes += _size(pair)
        while len(self._waiting) > self._most or self._bytes > WAITING_BYTES:
            yield from self._unanswered()

    def _answer(self, logged: Logged, at: int, source: str) -> Iterator[Pair]:
        tickets = self._by_key.get(logged.key) if logged.key else None
        if not tickets:
            self._tally.add(NO_REQUEST, source, lost=True)
            yield from self._sort(Pair(logged, at, source))
            return
        ticket = tickets.popleft()
        if not tickets:
            del self._by_key[logged.key]
        _, pair = self._waiting.pop(ticket)
        self._bytes -= _size(pair)
        asked = pair.logged
        self.answered += 1
        took = at - pair.at if asked.at is not None and logged.at is not None else 0
        joined = asked._replace(
            reply=logged.reply,
            took=max(0, took),
            model=asked.model or logged.model,
            version=asked.version or logged.version,
            principal=asked.principal or logged.principal,
            cut=asked.cut or logged.cut,
        )
        yield from self._sort(pair._replace(logged=joined, answer_source=source))

    def _unanswered(self) -> Iterator[Pair]:
        ticket, (key, pair) = self._waiting.popitem(last=False)
        tickets = self._by_key[key]
        tickets.remove(ticket)
        if not tickets:
            del self._by_key[key]
        self._bytes -= _size(pair)
        self._tally.add(NO_ANSWER, pair.source, lost=False)
        yield from self._sort(pair)

    def _sort(self, pair: Pair) -> Iterator[Pair]:
        if pair.at < self._given:
            self._tally.add(LATE, pair.source, lost=False)
        self._count += 1
        heapq.heappush(self._heap, (pair.at, self._count, pair))
        self._heap_bytes += _size(pair)
        while len(self._heap) > self._in_order or self._heap_bytes > SORTED_BYTES:
            yield self._pop()

    def _pop(self) -> Pair:
        at, _, pair = heapq.heappop(self._heap)
        self._heap_bytes -= _size(pair)
        self._given = max(self._given, at)
        return pair


def _size(pair: Pair) -> int:
    call, reply = pair.logged.call, pair.logged.reply
    return 1000 + (len(call.body) if call else 0) + (len(reply.body) if reply else 0)
