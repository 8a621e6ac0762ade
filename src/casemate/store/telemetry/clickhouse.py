"""Events in ClickHouse, for fleets whose events outgrow one machine's disk.

The same two doors as a folder. What the log proves about a folder it does not prove here: where
that matters, guards write a folder and the segments are loaded from there.
"""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from casemate.errors import MissingExtra, StoreError, UsageError
from casemate.records.event import Event
from casemate.store.telemetry.columns import COLUMNS, UNSIGNED, event, row, rows, schema, table
from casemate.store.telemetry.sink import Filter, Receipt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TABLE = "events"
_BATCH = 16_384
_WORDS = frozenset(
    {
        "writer", "kind", "principal", "model", "version", "route", "protocol", "decision",
        "purpose", "marked", "label_name",
    }
)  # fmt: skip
"""Text that repeats."""
_ALLOWED = frozenset({"numbers", "values", "generateSeries", "generate_series"})
"""Table functions that reach nothing."""
_FILES = re.compile(r"^(file|executable|catboost\w*|dictGet\w*|joinGet\w*|getClientHTTPHeader)$")


def connect(url: str) -> Any:
    """Return a client for `clickhouse://host:port/database` (`clickhouses://` over TLS).

    User and password come from CLICKHOUSE_USER and CLICKHOUSE_PASSWORD, never from the URL.

    Raises:
        UsageError: The URL carries credentials.
        MissingExtra: clickhouse-connect is not installed.
        StoreError: The server does not answer.
    """
    try:
        import clickhouse_connect
    except ModuleNotFoundError as error:
        raise MissingExtra("clickhouse", for_="clickhouse://") from error
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise UsageError("no credentials in URLs", hint="set CLICKHOUSE_USER, CLICKHOUSE_PASSWORD")
    secure = parts.scheme == "clickhouses"
    dsn = urlunsplit(parts._replace(scheme="clickhouses" if secure else "clickhouse"))
    try:
        return clickhouse_connect.get_client(
            dsn=dsn,
            secure=secure,
            username=os.environ.get("CLICKHOUSE_USER"),
            password=os.environ.get("CLICKHOUSE_PASSWORD", ""),
        )
    except clickhouse_connect.driver.exceptions.Error as error:
        raise StoreError(f"{url}: {_line(error)}") from error


def create(client: Any) -> None:
    """Make the table where there is none: rows of one writer and sequence count once."""
    columns = ", ".join(f"`{field.name}` {_kind(field)}" for field in schema())
    client.command(
        f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns}, "
        "`id` String ALIAS concat(writer, ':', toString(sequence)), "
        "`time` DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(`at`, 'UTC'), "
        "INDEX near_to_there near_to TYPE bloom_filter GRANULARITY 4, "
        "INDEX marks_there marks TYPE bloom_filter GRANULARITY 4) "
        "ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(fromUnixTimestamp64Micro(`at`, 'UTC')) "
        "ORDER BY (principal, `at`, writer, sequence)"
    )


class ClickHouseSink:
    """An EventSink: a bounded queue, and a thread that inserts, again and again until it works."""

    def __init__(
        self, client: Any, writer: str, *, window: float = 0.1, held: int = 100_000
    ) -> None:
        """Begin to write.

        Args:
            client: From `connect`; used by this sink alone.
            writer: `w-` and 16 hex digits, never used here before.
            window: Seconds events are gathered before they are inserted together.
            held: Most events kept in memory while the server does not take them.
        """
        create(client)
        self._client = client
        self._writer = writer
        self._window = window
        self._held = held
        self._first: int | None = None
        self._next = self._kept = 0
        self._queue: list[Event] = []
        self._lost: Event | None = None
        self.dropped = 0
        self.trouble: str | None = None
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._closing = False
        self._attempts = 0
        self._thread = threading.Thread(target=self._run, name=f"events {writer}", daemon=True)
        self._thread.start()

    @property
    def writer(self) -> str:
        """`w-` and 16 hex digits."""
        return self._writer

    def append(self, events: Sequence[Event]) -> Receipt:
        """Queue events.

        Raises:
            StoreError: Their sequence does not go on, or the sink is closed.
        """
        with self._lock:
            if self._closing:
                raise StoreError("the sink is closed")
            if self._first is None and events:
                self._first = self._next = self._kept = events[0].sequence
            first = sequence = self._next
            for one in events:
                if one.sequence != sequence or one.writer != self._writer:
                    raise StoreError(
                        f"event {one.writer}:{one.sequence} does not follow "
                        f"{self._writer}:{sequence - 1}"
                    )
                sequence += 1
            if self._lost is not None or len(self._queue) >= self._held:
                self._drop(events)
            else:
                self._queue += events
            self._next = sequence
            self._wake.set()
            return Receipt(self._writer, first, sequence - 1, durable=False)

    def flush(self) -> Receipt | None:
        """Wait until the server has all that was appended; None when nothing was.

        Raises:
            StoreError: It does not take it.
        """
        with self._lock:
            wanted, attempt = self._next, self._attempts
            self._hurry.set()
            while self._kept < wanted and not (self.trouble and self._attempts > attempt + 1):
                if not self._thread.is_alive():
                    raise StoreError("events are no longer taken: the sink has stopped")
                self._wake.set()
                self._done.wait(1.0)
            if self._kept < wanted:
                raise StoreError(f"events are not taken: {self.trouble}")
            if self._first is None:
                return None
            return Receipt(self._writer, self._first, wanted - 1, durable=True)

    def close(self) -> None:
        """Insert what is left and let go.

        Raises:
            StoreError: The server does not take it; the events are lost.
        """
        with self._lock:
            self._closing = True
            self._hurry.set()
            self._wake.set()
        self._thread.join()
        if self.trouble:
            raise StoreError(f"events are not taken: {self.trouble}")

    def _drop(self, events: Sequence[Event]) -> None:
        if not events:
            return
        first = events[0] if self._lost is None else self._lost
        number = events[-1].sequence + 1 - first.sequence
        self._lost = Event(
            writer=self._writer, sequence=first.sequence, at=first.at, until=events[-1].at,
            kind="gap", lost=number, rows=number,
            note=f"{number} events were dropped: {self.trouble or 'the server did not keep up'}",
        )  # fmt: skip
        self.dropped += len(events)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._hurry.wait(self._window)
            with self._lock:
                taken, upto, closing = self._queue, self._next, self._closing
                self._queue = []
                if self._lost is not None:
                    taken = [*taken, self._lost]
                    self._lost = None
                self._wake.clear()
                self._hurry.clear()
            if not self._insert(taken, upto) or closing:
                return

    def _insert(self, events: list[Event], upto: int) -> bool:
        wait = 0.1
        while True:
            try:
                if events:
                    self._client.insert_arrow(TABLE, table([row(one) for one in events]))
            except _failures() as error:
                with self._lock:
                    self.trouble = _line(error)
                    self._attempts += 1
                    self._done.notify_all()
                    if self._closing:
                        return False
                    self._hurry.clear()
                self._hurry.wait(wait)
                wait = min(wait * 2, 5.0)
                continue
            with self._lock:
                self._kept, self.trouble = upto, None
                self._attempts += 1
                self._done.notify_all()
            return True


class ClickHouseQuery:
    """An EventQuery over the table of events."""

    def __init__(self, client: Any, *, seconds: float = 60.0, most: int = 1_000_000) -> None:
        """Take a client of its own; arguments as for Telemetry."""
        create(client)
        self._client = client
        self._seconds = seconds
        self._most = most

    def scan(self, wanted: Filter) -> Iterator[Event]:
        """Yield events in order of time, then writer and sequence."""
        where, values = _where(wanted)
        limit = "" if wanted.limit is None else f" LIMIT {int(wanted.limit)}"
        yield from self._events(f"{where} ORDER BY `at`, writer, sequence{limit}", values)

    def tail(self, after: Mapping[str, int]) -> Iterator[Event]:
        """Yield events beyond a sequence of each writer, in order within a writer."""
        values = {"writers": list(after), "last": list(after.values())}
        beyond = " OR ".join(
            [
                "writer NOT IN {writers:Array(String)}",
                *(
                    f"(writer = {{writers:Array(String)}}[{n}] "
                    f"AND sequence > {{last:Array(Int64)}}[{n}])"
                    for n in range(1, len(after) + 1)
                ),
            ]
        )
        yield from self._events(f" WHERE {beyond} ORDER BY writer, sequence", values)

    def sql(
        self, text: str, parameters: Sequence[Any] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run one read-only query over the table `events`, in ClickHouse's SQL; `?` is a value.

        The account of the connection should be allowed to read that table and no more: what is
        refused here is refused by what the query says.

        Raises:
            UsageError: Not a query, or one that would write, reach beyond the events, or take
                more time or rows than it may.
        """
        import clickhouse_connect.driver.exceptions as failures

        bound, values = _bound(text, parameters)
        settings = {
            "readonly": 2,
            "max_execution_time": self._seconds,
            "max_result_rows": self._most,
            "result_overflow_mode": "throw",
        }
        try:
            self._refuse(bound, values)
            found = self._client.query(bound, parameters=values, settings=settings)
        except failures.Error as error:
            raise UsageError(f"the query failed: {_line(error)}") from error
        return list(found.column_names), [tuple(one) for one in found.result_rows]

    def _refuse(self, text: str, values: dict[str, Any]) -> None:
        if not re.match(r"\s*(SELECT|WITH)\b", text, re.IGNORECASE):
            raise UsageError("one SELECT is asked for", hint="SELECT count() FROM events")
        tree = self._client.query(f"EXPLAIN AST {text}", parameters=values).result_rows
        lines = [str(line).strip() for (line,) in tree]
        for before, line in zip(["", *lines], lines, strict=False):
            kind, _, rest = line.partition(" ")
            name = rest.split(" ")[0]
            inner = before.startswith("TableExpression") and kind == "Function"
            if inner and name not in _ALLOWED:
                raise UsageError(f"the table function {name} is not allowed")
            if kind == "TableIdentifier" and "." in name:
                raise UsageError(f"the table {name} is not allowed", hint="ask the table events")
            if kind == "Function" and _FILES.match(name):
                raise UsageError(f"the function {name} is not allowed")
            if kind in ("Set", "SetQuery") or "OUTFILE" in text.upper():
                raise UsageError("a query neither sets nor writes anything")

    def _events(self, rest: str, values: dict[str, Any]) -> Iterator[Event]:
        names = ", ".join(f"`{name}`" for name in COLUMNS)
        text = f"SELECT {names} FROM {TABLE} FINAL{rest}"  # noqa: S608 - names of ours
        found = self._client.query_arrow(text, parameters=values, use_strings=True)
        for batch in found.cast(schema()).to_batches(_BATCH):
            yield from map(event, rows(batch))


def _where(wanted: Filter) -> tuple[str, dict[str, Any]]:
    tests = {
        "since": "`at` >= {since:Int64}",
        "until": "`at` < {until:Int64}",
        "principal": "principal = {principal:String}",
        "model": "model = {model:String}",
        "writer": "writer = {writer:String}",
        "cluster": "cluster = {cluster:UInt64}",
        "kinds": "kind IN {kinds:Array(String)}",
        "ids": "(writer, sequence) IN {ids:Array(Tuple(String, Int64))}",
    }
    given = {name: value for name, value in wanted._asdict().items() if name in tests and value}
    given |= {name: 0 for name in ("since", "until", "cluster") if getattr(wanted, name) == 0}
    given |= {name: "" for name in ("principal", "model") if getattr(wanted, name) == ""}
    if "kinds" in given:
        given["kinds"] = list(wanted.kinds)
    if "ids" in given:
        given["ids"] = list(wanted.ids)
    parts = [tests[name] for name in given]
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), given


def _bound(text: str, parameters: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return the text with each `?` outside quotes as a typed parameter of the server."""
    left = list(parameters)
    values: dict[str, Any] = {}
    kinds = {bool: "Bool", int: "Int64", float: "Float64", str: "String"}

    def place(match: re.Match[str]) -> str:
        if match[0] != "?":
            return match[0]
        if not left:
            raise UsageError("the query has more places than values")
        value = left.pop(0)
        kind = kinds.get(type(value))
        if kind is None:
            raise UsageError(f"a {type(value).__name__} is no value of a query")
        name = f"p{len(values)}"
        values[name] = value
        unsigned = kind == "Int64" and value >= 2**63
        return f"{{{name}:{'UInt64' if unsigned else kind}}}"

    bound = re.sub(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`|\?", place, text)
    if left:
        raise UsageError("the query has fewer places than values")
    return bound, values


def _kind(field: Any) -> str:
    kind = str(field.type)
    if kind.startswith("list"):
        return "Array(UInt64)" if field.name in UNSIGNED else "Array(LowCardinality(String))"
    plain = {"int64": "Int64", "uint64": "UInt64", "double": "Float64", "bool": "Bool"}
    inner = plain.get(kind, "String")
    if field.name not in _required():
        inner = f"Nullable({inner})"
    return f"LowCardinality({inner})" if field.name in _WORDS else inner


def _required() -> frozenset[str]:
    from casemate.records.event import Measures

    found = set()
    for cls in (Event, Measures):
        for field in msgspec.structs.fields(cls):
            if field.default is not None:
                found.add(field.name)
    return frozenset(found)


def _failures() -> tuple[type[Exception], ...]:
    """Return what an insert may raise: the client's own, its transport's, Arrow's."""
    import clickhouse_connect.driver.exceptions as failures
    import pyarrow as pa

    return (
        failures.Error, pa.ArrowException, OSError, ArithmeticError, LookupError, RuntimeError,
        TypeError, ValueError,
    )  # fmt: skip


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
