"""Expansion: the output of a compressed stream as a Source, made as far as someone reads.

Stands under the readers of compressed files and of archive members. Every byte that comes out is
counted, and a stream that breaks still gives what a loader would have seen of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import LimitExceeded
from casemate.formats.decoders import (
    BROKEN,
    DECODERS,
    RESTARTS,
    STEP_OUT,
    header_size,
    starts,
)
from casemate.formats.source import Source, Spool

if TYPE_CHECKING:
    from casemate.formats.budget import Budget


class Expansion(Source):
    """The output of one compressed stream, expanded as far as someone reads.

    Args:
        source: Where the compressed bytes are.
        kind: A key of DECODERS.
        budget: Counts every byte that comes out.
        size: What the container says comes out; None to find out, which expands everything. A
            stream that breaks off before makes it smaller once that has been seen.
    """

    __slots__ = (
        "_begun",
        "_budget",
        "_decoder",
        "_kind",
        "_of",
        "_spool",
        "bomb",
        "consumed",
        "ended",
        "trouble",
    )

    def __init__(
        self, source: Source, kind: str, budget: Budget, name: str, size: int | None = None
    ) -> None:
        super().__init__(name, 0)
        self._of = source
        self._kind = kind
        self._budget = budget
        self._decoder = DECODERS[kind]()
        self._spool = Spool(name)
        self._begun = (0, 0)
        """Where the current stream begins: compressed, and expanded."""
        self.consumed = 0
        """Compressed bytes read that belong to the stream."""
        self.ended = False
        """No more will come, for whatever reason."""
        self.trouble = ""
        """Why it broke off; empty when it ended properly."""
        self.bomb = False
        if size is None:
            self.drain()
            self.size = self._spool.size
        else:
            self.size = size

    @property
    def produced(self) -> int:
        """Bytes that have come out so far."""
        return self._spool.size

    def drain(self, limit: int | None = None) -> None:
        """Expand until `limit` bytes are out, or to the end."""
        while not self.ended and (limit is None or self._spool.size < limit):
            try:
                self._step()
            except LimitExceeded as error:
                self.ended, self.bomb, self.trouble = True, True, str(error)
            except BROKEN as error:
                self.ended, self.trouble = True, f"{type(error).__name__}: {error}"
                self._rescue()

    def _step(self) -> None:
        decoder = self._decoder
        if not self.consumed and self._budget.expansion_spent:
            raise LimitExceeded("was not begun: the file has expanded without measure already")
        data = b""
        if decoder.hungry:
            data = self._of.read(self.consumed, decoder.want(self._of, self.consumed))
        out = decoder.feed(data)
        if not data and not out and decoder.hungry and not decoder.eof:
            self.ended, self.trouble = True, "the stream ends early"
            return
        self.consumed += len(data)
        if out:
            self._spool.write(out)
            self._budget.spend_expansion(len(out), self._spool.size, self.consumed)
        else:
            self._budget.spend_time()
        if decoder.eof:
            self.consumed -= len(decoder.unused_data)
            self._restart()

    def _restart(self) -> None:
        if self._kind in RESTARTS and starts(self._kind, self._of, self.consumed):
            self._decoder = DECODERS[self._kind]()
            self._begun = (self.consumed, self._spool.size)
        else:
            self.ended = True

    def _rescue(self) -> None:
        """Get out what the failing call had made, byte by byte.

        A loader that reads in smaller steps has run it before it meets the damage; checksums of
        gzip and zlib, which come after everything, are left aside.
        """
        begin, before = self._begun
        known = self._spool.size - before
        header = header_size(self._kind, self._of, begin)
        decoder = DECODERS[self._kind if header is None else "deflate"]()
        at, out_so_far = begin + (header or 0), 0
        try:
            while not decoder.eof and out_so_far < known + STEP_OUT:
                data = b""
                if decoder.hungry:
                    data = self._of.read(at, decoder.want(self._of, at))
                    at += len(data)
                out = decoder.feed(data, 1 if out_so_far >= known else known - out_so_far)
                if not out and not data:
                    return
                out_so_far += len(out)
                if out_so_far > known:
                    fresh = out[-(out_so_far - known) :] if out_so_far - len(out) < known else out
                    self._spool.write(fresh)
                    self._budget.spend_expansion(len(fresh), self._spool.size, max(at, 1))
        except LimitExceeded as error:
            self.bomb, self.trouble = True, str(error)
        except BROKEN:
            return

    def _fetch(self, offset: int, n: int) -> bytes:
        self.drain(offset + n)
        if self.ended:
            self.size = min(self.size, self._spool.size)
        return self._spool.read(offset, n)

    def close(self) -> None:
        """Drop what was expanded."""
        self._spool.close()
