"""Outbox: what waits to be carried, bounded, so that a slow broker never holds up a request.

Filled from any thread without waiting; emptied in order by one task. What finds no room is counted,
with the time it spans, for the gap event that follows.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple


class Piece(NamedTuple):
    """One encoded record."""

    body: bytes
    ident: str
    """`<writer>:<sequence>`, or the id of the record."""
    at: int
    """Microseconds since the epoch."""
    key: str = ""
    """Pieces of one key stay in order; a message holds pieces of one key alone."""


class Loss(NamedTuple):
    """What could not be carried."""

    pieces: int
    since: int
    until: int
    first: str
    """Ident of the first piece that was lost."""


class Outbox:
    """The pieces of one topic."""

    def __init__(self, room: int) -> None:
        """Hold at most `room` bytes."""
        self._room = room
        self._held = 0
        self._pieces: deque[Piece] = deque()
        self._loss: Loss | None = None
        self._lock = threading.Lock()
        self.lost = 0
        """All that was ever lost."""

    def __len__(self) -> int:
        return len(self._pieces)

    def offer(self, pieces: list[Piece]) -> bool:
        """Take all the pieces or, without room for them, count them as lost and say so."""
        size = sum(len(one.body) for one in pieces)
        with self._lock:
            if self._held + size > self._room:
                self._lose(pieces)
                return False
            self._pieces.extend(pieces)
            self._held += size
            return True

    def peek(self, most: int) -> list[Piece]:
        """Return the oldest pieces, of one key, that fit into `most` bytes; at least one."""
        chosen: list[Piece] = []
        size = 0
        with self._lock:
            for one in self._pieces:
                size += len(one.body) + 1
                if chosen and (size > most or one.key != chosen[0].key):
                    break
                chosen.append(one)
        return chosen

    def done(self, count: int) -> None:
        """Drop the oldest pieces: they were carried."""
        with self._lock:
            for _ in range(count):
                self._held -= len(self._pieces.popleft().body)

    def refused(self, count: int) -> None:
        """Drop the oldest pieces as lost: the broker will never take them."""
        with self._lock:
            gone = [self._pieces.popleft() for _ in range(count)]
            self._held -= sum(len(one.body) for one in gone)
            self._lose(gone)

    def loss(self) -> Loss | None:
        """Return what was lost since the last call, once."""
        with self._lock:
            loss, self._loss = self._loss, None
            return loss

    def _lose(self, pieces: list[Piece]) -> None:
        if not pieces:
            return
        self.lost += len(pieces)
        old = self._loss or Loss(0, pieces[0].at, pieces[0].at, pieces[0].ident)
        self._loss = Loss(
            old.pieces + len(pieces),
            min(old.since, pieces[0].at),
            max(old.until, pieces[-1].at),
            old.first,
        )
