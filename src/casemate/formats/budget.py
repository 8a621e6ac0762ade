"""Budget: how much work one file may cause, whatever it claims about itself.

One Budget goes with one file through every archive and stream nested in it, so that a bomb made of
many small steps is caught like one made of a single large one.
"""

from __future__ import annotations

import time

from casemate.errors import LimitExceeded

DEPTH = 8
"""Archives within archives."""
MEMBERS = 100_000
"""Parts of any kind; a large sharded checkpoint has some tens of thousands."""
EXPANDED = 8 << 30
"""Bytes out of all decompressors together."""
FREE = 32 << 20
"""Bytes a stream may expand to before its ratio counts: a small file of zeros harms nobody."""
RATIO = 200
"""Expanded to compressed. Weights compress by less than 10, sparse ones by less than 50."""
SECONDS = 45.0
SECONDS_PER_BYTE = 1 / (16 << 20)
"""CPU seconds, so that a busy machine gives the same verdict."""


class Budget:
    """The allowance of one file; each method raises LimitExceeded when it is used up."""

    __slots__ = ("_asked", "_deadline", "_size", "expanded", "members")

    def __init__(self, size: int) -> None:
        self._size = size
        self._deadline = time.process_time() + SECONDS + size * SECONDS_PER_BYTE
        self._asked = 0
        self.expanded = 0
        self.members = 0

    def spend_member(self) -> None:
        """Count one more part."""
        self.members += 1
        if self.members > MEMBERS:
            raise LimitExceeded(f"more than {MEMBERS:,} members")
        self.spend_time()

    def spend_expansion(self, produced: int, stream_out: int, stream_in: int) -> None:
        """Count `produced` more bytes out of a stream that has so far read `stream_in`.

        Args:
            produced: Bytes since the last call.
            stream_out: All bytes this stream has produced.
            stream_in: All bytes it has consumed.
        """
        self.expanded += produced
        if stream_out > FREE and stream_out > RATIO * max(stream_in, 1):
            raise LimitExceeded(
                f"expands more than {RATIO}-fold: {stream_out:,} bytes from {stream_in:,}"
            )
        if self.expanded > FREE and self.expanded > RATIO * max(self._size, 1):
            raise LimitExceeded(
                f"expands more than {RATIO}-fold: {self.expanded:,} bytes from {self._size:,}"
            )
        if self.expanded > EXPANDED:
            raise LimitExceeded(f"expands to more than {EXPANDED:,} bytes")
        self.spend_time()

    @property
    def expansion_spent(self) -> bool:
        """Whether all streams together have had what they may; later ones need not begin."""
        return self.expanded > max(FREE, RATIO * self._size)

    def spend_time(self) -> None:
        """Check the clock, now and then: where it is slow, asking costs more than most steps."""
        if self._asked % 64 == 0 and time.process_time() > self._deadline:
            raise LimitExceeded("takes too long to read")
        self._asked += 1
