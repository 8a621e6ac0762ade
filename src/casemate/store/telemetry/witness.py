"""Files of checkpoints: the log's own, and the second place that keeps a copy.

The second place is what turns "nobody changed this unless they changed all of it" into "nobody
changed this": a log that was cut back and signed anew no longer fits what lies there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import StoreError
from casemate.store.telemetry.checkpoint import Checkpoint, parse, split
from casemate.store.telemetry.durable import append, cut

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHECKPOINTS = "checkpoints"
PUBLIC = "log.pub"


class Notes:
    """One file of checkpoints."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / CHECKPOINTS

    def read(self) -> tuple[list[bytes], bytes]:
        """Return the notes, and the torn one behind them if there is one."""
        try:
            return split(self.path.read_bytes())
        except FileNotFoundError:
            return [], b""

    def mend(self) -> list[Checkpoint]:
        """Take a torn note off the end and return the whole ones.

        Raises:
            StoreError: One of them is not a checkpoint.
        """
        notes, torn = self.read()
        found = [parse(note) for note in notes]
        if torn:
            cut(self.path, sum(len(note) + 1 for note in notes))
        return found

    def add(self, notes: Sequence[Checkpoint]) -> None:
        """Add checkpoints, durably."""
        if notes:
            append(self.path, b"".join(note.note + b"\n" for note in notes))


def tell(witness: Path, own: Sequence[Checkpoint], public: bytes) -> str | None:
    """Bring the second place up to date; return why it could not be, None when it is.

    Raises:
        StoreError: It holds checkpoints that the log does not have: the log was changed.
    """
    try:
        witness.mkdir(parents=True, exist_ok=True)
        notes = Notes(witness)
        theirs = notes.mend()
        if [one.note for one in theirs] != [one.note for one in own[: len(theirs)]]:
            raise StoreError(
                f"the log does not go on from what its witness {witness} has seen",
                hint="casemate verify says what was changed; nothing was sealed",
            )
        notes.add(own[len(theirs) :])
        if not (witness / PUBLIC).exists():
            append(witness / PUBLIC, public)
    except OSError as error:
        return f"{witness}: {error.strerror}"
    return None
