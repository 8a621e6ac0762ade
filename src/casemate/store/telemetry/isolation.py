"""A query in a process of its own, which can be stopped whatever it is doing.

DuckDB looks at its time and memory limits between steps; one call such as `range(500_000_000)` is
a single step. The process has hard limits from the system and is killed when its time is over.
"""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import StoreError, UsageError
from casemate.store.telemetry.sql import Sandbox, answer, refuse_other_than_select

if TYPE_CHECKING:
    from collections.abc import Sequence

_START_S = 20.0
"""Seconds a process may take to begin on a busy machine."""
_SLACK = 2 << 30
"""Bytes of address space beyond the query's memory: code, stacks, Arrow's own."""
_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    files: list[str]
    text: str
    parameters: list[Any]
    memory: str
    threads: int
    seconds: float
    most: int


def query(
    files: Sequence[str],
    unsealed: Any,
    text: str,
    parameters: Sequence[Any],
    *,
    memory: str,
    threads: int,
    seconds: float,
    most: int,
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Run text that may be hostile in a process of its own; arguments as for `Sandbox`.

    Raises:
        UsageError: It is not one SELECT, it fails, or it goes beyond its bounds.
    """
    import pyarrow as pa

    refuse_other_than_select(text)
    task = _Task(
        files=list(files), text=text, parameters=list(parameters),
        memory=memory, threads=threads, seconds=seconds, most=most,
    )  # fmt: skip
    try:
        head = msgspec.msgpack.encode(task)
    except TypeError as error:
        raise UsageError(f"a parameter that no query takes: {error}") from error
    body = io.BytesIO()
    with pa.ipc.new_stream(body, unsealed.schema) as stream:
        stream.write_table(unsealed)
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-m", __name__],
            input=len(head).to_bytes(8, "big") + head + body.getvalue(),
            capture_output=True,
            timeout=seconds + _START_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _late(seconds) from error
    if done.returncode == 2:
        raise UsageError(done.stdout.decode("utf-8", "replace"))
    if done.returncode:
        raise UsageError(
            f"the query was stopped: it took more than {seconds:g} s or {memory}",
            hint="ask for a shorter time or fewer columns",
        )
    with pa.ipc.open_stream(done.stdout) as stream:
        return answer(stream.read_all())


def main() -> int:
    """Answer the one query that stands on stdin."""
    import pyarrow as pa

    source = sys.stdin.buffer
    task = msgspec.msgpack.decode(source.read(int.from_bytes(source.read(8), "big")), type=_Task)
    with pa.ipc.open_stream(source.read()) as stream:
        unsealed = stream.read_all()
    space = _bytes(task.memory) * 5 // 4 + _SLACK
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(spent.ru_utime + spent.ru_stime + task.seconds * task.threads) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    sandbox = Sandbox(
        memory=task.memory, threads=task.threads, seconds=task.seconds, most=task.most
    )
    try:
        table = sandbox.table(task.files, unsealed, task.text, task.parameters)
    except (StoreError, UsageError) as error:
        sys.stdout.write(str(error))
        return 2
    with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
        stream.write_table(table)
    return 0


def _late(seconds: float) -> UsageError:
    return UsageError(
        f"the query took more than {seconds:g} s and was stopped",
        hint="ask for a shorter time: WHERE time > '2026-01-31'",
    )


def _bytes(memory: str) -> int:
    match = re.fullmatch(r"([0-9]+)\s*([KMG]I?B)", memory.upper())
    if match is None:
        raise UsageError(f"'{memory}' is no amount of memory", hint="2GB")
    return int(match[1]) * _UNITS[match[2]]


if __name__ == "__main__":
    sys.exit(main())
