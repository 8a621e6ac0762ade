"""SQL over events that can do nothing else: DuckDB in memory, one SELECT, bounded.

No file but the segments given, no network, no extension, no settings, no Python variable.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from casemate.errors import UsageError
from casemate.store.telemetry.columns import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Sandbox:
    """Runs queries over Parquet files and one Arrow table, both seen as the table `events`."""

    def __init__(self, *, memory: str, threads: int, seconds: float, most: int) -> None:
        self._memory = memory
        self._threads = threads
        self._seconds = seconds
        self._most = most

    def query(
        self, files: Sequence[str], unsealed: Any, text: str, parameters: Sequence[Any]
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run text that may be hostile; return column names and rows.

        Raises:
            UsageError: It is not one SELECT, it fails, or it goes beyond its bounds.
        """
        import duckdb

        try:
            statements = duckdb.extract_statements(text)
        except duckdb.Error as error:
            raise UsageError(f"not a query: {_line(error)}") from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise UsageError("one SELECT is asked for", hint="SELECT count(*) FROM events")
        with self._opened(files, unsealed) as connection:
            timer = threading.Timer(self._seconds, connection.interrupt)
            timer.start()
            try:
                result = connection.execute(text, list(parameters))
                names = [column[0] for column in result.description or ()]
                found = result.fetchmany(self._most + 1)
            except duckdb.InterruptException as error:
                raise UsageError(
                    f"the query took more than {self._seconds:g} s and was stopped",
                    hint="ask for a shorter time: WHERE time > '2026-01-31'",
                ) from error
            except (duckdb.Error, RuntimeError, ValueError, TypeError, OverflowError) as error:
                raise UsageError(f"the query failed: {_line(error)}") from error
            finally:
                timer.cancel()
                timer.join()
        if len(found) > self._most:
            raise UsageError(f"the query gives more than {self._most} rows", hint="add a LIMIT")
        return names, found

    def batches(
        self, files: Sequence[str], unsealed: Any, text: str, parameters: Sequence[Any], size: int
    ) -> Iterator[Any]:
        """Yield the record batches of a query of our own."""
        with self._opened(files, unsealed) as connection:
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
                    f"SELECT {columns} FROM read_parquet([{quoted}], union_by_name = false) "  # noqa: S608
                    f"UNION ALL {source}"
                )
            connection.execute(
                "CREATE VIEW events AS SELECT writer || ':' || sequence AS id, "  # noqa: S608
                f'make_timestamp("at") AS time, * FROM ({source})'
            )
            yield connection
        finally:
            connection.close()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
