"""Logged: one line of a log as a request, an answer, or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from casemate.guard.call import Call, Reply


class Logged(NamedTuple):
    """What a reader makes of one line; what the log does not say is None or empty."""

    call: Call | None = None
    """The request; `at` is 0 where only `Logged.at` counts."""
    reply: Reply | None = None
    key: str = ""
    """What joins a request and its answer that stand on lines of their own, and tells a line that
    was delivered twice from one that says the same; empty where the log has none."""
    at: int | None = None
    """Time of the request, or of the answer where the line is one; microseconds since the epoch."""
    took: int = 0
    """Microseconds from question to answer, where the log says."""
    model: str = ""
    version: str | None = None
    principal: str | None = None
    """Who asked, where the log has a place of its own for it or the user mapped one."""
    session: str | None = None
    cut: str = ""
    """Why a body is not whole, in words: the logger cut it off."""
    share: float = 1.0
    """Share of the traffic the log says it holds."""
    sizes: tuple[int, int] = (0, 0)
    """Bytes of the request and of the answer, where the log counts bodies it does not hold."""


class Row(NamedTuple):
    """One record of a file, as JSON, with the line or row it begins on, counted from 1."""

    number: int
    body: bytes
    end: int
    """Bytes of the file (decompressed) up to the end of its line; 0 where that has no meaning."""
    open: bool = False
    """Whether it is a last line without a newline, which may have been cut off."""
