"""Drawing on the terminal: progress while a job runs, tables when it is done.

Progress goes to stderr, results to stdout. rich is imported only once something is drawn.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from casemate.export.report import Bundle

_STYLES = {
    "critical": "bold red",
    "important": "red",
    "moderate": "yellow",
    "low": "cyan",
    "findings": "red",
    "clean": "green",
    "incomplete": "yellow",
    "pass": "bold green",
    "fail": "bold red",
    "cannot tell": "bold yellow",
}


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """Yield a callback (what, done, total) that draws a bar on stderr, or prints lines."""
    if quiet:
        yield None
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, int] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in list(tasks.values()):
                    bars.update(bars.tasks[task].id, visible=False)
                tasks[what] = bars.add_task(printable(what), total=max(total, 1))
            bars.update(bars.tasks[tasks[what]].id, completed=done, total=max(total, 1))

        yield draw


class _Lines:
    """One line on stderr per thing begun, for logs and pipes."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, what: str, _done: int, total: int) -> None:
        stage = what.split(":", 1)[0]
        if stage != self._last:
            self._last = stage
            print(f"... {printable(what)} ({total})", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Return text from a hostile source with control characters shown, not sent to the terminal."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int | None = None) -> None:
    """Print a table on stdout; on a terminal the column `wide` folds, others keep their width."""
    if not sys.stdout.isatty():
        lines = [[printable(cell) for cell in row] for row in (head, *rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            print("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(head):
        folds = wide is None or position == wide
        drawn.add_column(
            name, overflow="fold", no_wrap=not folds, min_width=24 if position == wide else None
        )
    for row in rows:
        drawn.add_row(*(Text(printable(cell), style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)


def emit(bundle: Bundle, form: str, output: Path | None) -> None:
    """Write a bundle in an export format to a file or to stdout."""
    from casemate.errors import UsageError
    from casemate.export.report import write

    body = write(bundle, form)
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body if body.endswith(b"\n") else body + b"\n")
        return
    try:
        output.write_bytes(body)
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error
    print(f"wrote {output}", file=sys.stderr)
