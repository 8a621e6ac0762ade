"""Reading a large log in a process of its own, so that judging it has a core to itself."""

from __future__ import annotations

import multiprocessing
import queue
from typing import TYPE_CHECKING, Any

from casemate.errors import CasemateError, StoreError
from casemate.guard.logs.stream import End, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from casemate.guard.logs.paths import Place
    from casemate.guard.logs.stream import Batch, File

LARGE = 32 * 1024 * 1024
"""Bytes from which a second process is worth its start."""
_AHEAD = 8


def read_ahead(
    log: Sequence[File], kind: str, fields: Mapping[str, Place], *, size: int
) -> Iterator[Batch | End]:
    """Yield what `stream` yields; from LARGE bytes on it is read by another process meanwhile.

    Raises:
        StoreError: The other process came to an end before the log did.
    """
    if size < LARGE:
        yield from stream(log, kind, fields)
        return
    context = multiprocessing.get_context("spawn")
    found: Any = context.Queue(_AHEAD)
    process = context.Process(target=_read, args=(found, log, kind, fields), daemon=True)
    process.start()
    try:
        while True:
            batch = _next(found, process)
            if isinstance(batch, CasemateError):
                raise batch
            yield batch
            if isinstance(batch, End):
                return
    finally:
        process.kill()
        process.join()
        found.close()


def _next(found: Any, process: Any) -> Any:
    while True:
        try:
            return found.get(timeout=1.0)
        except queue.Empty:
            if not process.is_alive() and found.empty():
                raise StoreError("the process that reads the log has ended early") from None


def _read(found: Any, log: Sequence[File], kind: str, fields: Mapping[str, Place]) -> None:
    try:
        for batch in stream(log, kind, fields):
            found.put(batch)
    except CasemateError as error:
        found.put(error)
    except KeyboardInterrupt:  # the parent hears it too, and says so
        pass
