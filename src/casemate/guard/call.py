"""What a shell hands to the guard and gets back: bytes and words, no sockets."""

from __future__ import annotations

from typing import Literal, NamedTuple

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, values as latin-1 text, in order, repeats kept."""


class Call(NamedTuple):
    """One request, whole, as a shell received it."""

    method: str
    path: str
    """Percent-encoded, as it came, without the query."""
    query: str
    headers: Headers
    body: bytes
    peer: str
    """Address of the connection, `203.0.113.7`; empty where there is none."""
    at: int
    """When the request was complete, in microseconds since the Unix epoch."""


class Reply(NamedTuple):
    """One answer, whole."""

    status: int
    headers: Headers
    body: bytes


class Action(NamedTuple):
    """What the shell must do with a request: the guard decides, the shell carries out."""

    kind: Literal["forward", "answer"]
    """`forward`: to the upstream, unchanged. `answer`: serve `reply`, the upstream is not asked."""
    reply: Reply | None = None
    delay: float = 0.0
    """Seconds to wait before anything else."""
    upstream: str | None = None
    """Another upstream than the configured one: a second model, the last good one, a decoy."""
