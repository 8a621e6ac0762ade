"""Shell scripts, which have no business among weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.formats.seen import Span, Trouble

if TYPE_CHECKING:
    from casemate.formats.budget import Budget
    from casemate.formats.seen import Reading
    from casemate.formats.source import Source


def read(source: Source, budget: Budget) -> Reading:
    """Name the program the first line starts; what the script does is not looked at."""
    budget.spend_time()
    first = source.read(0, 200).split(b"\n", 1)[0].decode("utf-8", "replace")
    program = first.removeprefix("#!").strip()
    yield Trouble("shell-script-among-weights", program, f"it is a script for {program}", 0)
    yield Span(0, source.size, "scanned")
