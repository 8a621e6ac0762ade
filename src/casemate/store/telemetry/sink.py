"""The two doors of every telemetry store: events go in by one and are asked for by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from casemate.records.event import Event, EventKind


class Receipt(NamedTuple):
    """What became of a batch."""

    writer: str
    first: int
    """Sequence of the first event."""
    last: int
    durable: bool
    """Whether it would survive the power going away now."""


class Filter(NamedTuple):
    """Which events are wanted; every part given must match."""

    since: int | None = None
    """Microseconds since the epoch, inclusive."""
    until: int | None = None
    """Exclusive."""
    principal: str | None = None
    model: str | None = None
    writer: str | None = None
    cluster: int | None = None
    kinds: tuple[EventKind, ...] = ()
    limit: int | None = None
    ids: tuple[tuple[str, int], ...] = ()
    """Writer and sequence of each event wanted."""


class EventSink(Protocol):
    """Where events are written. One sink has one writer; a new process is a new writer."""

    @property
    def writer(self) -> str:
        """`w-` and 16 hex digits, the `writer` of every event appended."""

    def append(self, events: Sequence[Event]) -> Receipt:
        """Keep events whose sequence goes on where the last batch ended.

        Raises:
            StoreError: Their sequence does not go on, or the sink is closed. A disk that is full or
                slow is none: what does not fit is dropped, and a `gap` event stands in its place.
        """

    def flush(self) -> Receipt | None:
        """Make all that was appended durable; None when nothing was."""

    def close(self) -> None:
        """Flush and let go."""


@runtime_checkable
class EventQuery(Protocol):
    """Where events are asked for, sealed or not."""

    def scan(self, wanted: Filter) -> Iterator[Event]:
        """Yield events in order of time, then writer and sequence."""

    def tail(self, after: Mapping[str, int]) -> Iterator[Event]:
        """Yield events beyond a sequence of each writer, in order within a writer."""

    def sql(
        self, text: str, parameters: Sequence[Any] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only query over the table `events`; return column names and rows.

        Raises:
            UsageError: Not a query, or one that would write or reach beyond the events.
        """
