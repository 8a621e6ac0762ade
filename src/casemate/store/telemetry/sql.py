"""SQL over events that can do nothing else: DuckDB in memory, one SELECT, bounded.

No file but the segments given, no network, no extension, no settings, no Python variable.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


LONGEST = 100_000
"""Characters of a query."""


class Sandbox:
    """Runs queries over Parquet files and one Arrow table, both seen as the table `events`."""

    def __init__(self, *, memory: str, threads: int, seconds: float, most: int) -> None:
        self._memory = memory
        self._threads = threads
        self._seconds = seconds
        self._most = most

    def table(
        self, files: Sequence[str], unsealed: Any, text: str, parameters: Sequence[Any]
    ) -> Any:
        """Run text that may be hostile; return an Arrow table.

        Raises:
            UsageError: It is not one SELECT, it fails, or it goes beyond its bounds.
        """
        import duckdb
        import pyarrow as pa

        refuse_other_than_select(text)
        with self._opened(files, unsealed) as connection:
            timer = threading.Timer(self._seconds, connection.interrupt)
            timer.start()
            try:
                result = connection.sql(text, params=list(parameters) or None)
                if result is None:
                    raise UsageError("the query gives nothing")
                found = result.limit(self._most + 1).to_arrow_table()
            except duckdb.InterruptException as error:
                raise UsageError(
                    f"the query took more than {self._seconds:g} s and was stopped",
                    hint="ask for a shorter time: WHERE time > '2026-01-31'",
                ) from error
            except (
                duckdb.Error, pa.ArrowException, RuntimeError, ValueError, TypeError,
                OverflowError, MemoryError,
            ) as error:  # fmt: skip
                raise UsageError(f"the query failed: {_line(error)}") from error
            finally:
                timer.cancel()
                timer.join()
        if len(found) > self._most:
            raise UsageError(f"the query gives more than {self._most} rows", hint="add a LIMIT")
        return found

    def batches(
        self, files: Sequence[str], unsealed: Any, text: str, parameters: Sequence[Any], size: int
    ) -> Iterator[Any]:
        """Yield the record batches of a query of our own.

        Raises:
            StoreError: A segment cannot be read.
        """
        with self._opened(files, unsealed) as connection, _readable():
            yield from connection.sql(text, params=list(parameters)).to_arrow_reader(size)

    @contextmanager
    def _opened(self, files: Sequence[str], unsealed: Any) -> Iterator[Any]:
        import duckdb

        connection = duckdb.connect(
            config={
                "threads": self._threads,
                "memory_limit": self._memory,
                "temp_directory": "",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": False,
            }
        )
        try:
            connection.execute("SET allowed_paths = ?", [list(files)])
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            connection.register("unsealed", unsealed)
            columns = ", ".join(f'"{name}"' for name in COLUMNS)
            source = f"SELECT {columns} FROM unsealed"  # noqa: S608 - names of ours
            if files:
                quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in files)
                source = (
                    f"SELECT {columns} FROM read_parquet([{quoted}], union_by_name = true) "  # noqa: S608
                    f"UNION ALL {source}"
                )
            with _readable():
                connection.execute(
                    "CREATE VIEW events AS SELECT writer || ':' || sequence AS id, "  # noqa: S608
                    f'make_timestamp("at") AS time, * FROM ({source})'
                )
            yield connection
        finally:
            connection.close()


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what DuckDB says of a damaged segment into what to do about it."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        raise StoreError(
            f"the sealed events cannot be read: {_line(error)}",
            hint="casemate verify says which segment was changed",
        ) from error


def refuse_other_than_select(text: str) -> None:
    """Raise UsageError unless the text is one SELECT; nothing is run."""
    import duckdb

    if len(text) > LONGEST:
        raise UsageError(f"a query of more than {LONGEST} characters is not run")
    try:
        statements = duckdb.extract_statements(text)
    except (duckdb.Error, ValueError) as error:
        raise UsageError(f"not a query: {_line(error)}") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("one SELECT is asked for", hint="SELECT count(*) FROM events")


def answer(table: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return an Arrow table as column names and rows."""
    import pyarrow as pa

    columns = []
    for column in table.columns:
        # DuckDB hands sums of whole numbers over as decimals without places.
        if pa.types.is_decimal(column.type) and column.type.scale == 0:
            columns.append([None if v is None else int(v) for v in column.to_pylist()])
        else:
            columns.append(column.to_pylist())
    return list(table.column_names), list(zip(*columns, strict=True))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
