"""Verify what the program has kept: the telemetry of a guard, or the proof of one event of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casemate.records.event import Event
    from casemate.store.telemetry.verify import Verification

TELEMETRY = "telemetry"
"""Folder of the events within a workspace."""


def verify_telemetry(
    path: Path,
    *,
    witness: Path | None = None,
    public_key: Path | None = None,
    events: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verification:
    """Verify a telemetry folder, or the one in a workspace or beside a casemate.toml.

    Raises:
        UsageError: There is none, or the key cannot be read.
    """
    try:
        from casemate.store.telemetry.verify import verify
    except ModuleNotFoundError as error:
        raise MissingExtra("guard", for_="verify") from error

    return verify(
        place(path), witness=witness, public_key=public_key, events=events, progress=progress
    )


def witness_of(path: Path) -> Path | None:
    """Return the second place that the casemate.toml above a path names, None without one."""
    from casemate.workflows import config

    found = config.find(path.parent)
    if found is None:
        return None
    loaded = config.read(found)
    named = loaded.config.guard.witness
    return loaded.root / named if named else None


def prove_event(path: Path, ident: str) -> bytes:
    """Return the proof of the event `<writer>:<sequence>` as JSON.

    Raises:
        UsageError: There is no such event, or it is not sealed yet.
    """
    from casemate.store.telemetry.proof import prove, to_json

    writer, _, sequence = ident.rpartition(":")
    if not writer or not sequence.isdecimal():
        raise UsageError(f"'{ident}' is no event", hint="w-0123456789abcdef:17")
    return to_json(prove(place(path), writer, int(sequence)))


def check_proof(path: Path, public_key: Path | None) -> Event:
    """Return the event that the proof in a file is for.

    Raises:
        UsageError: Not a proof, or no key to check it with.
        StoreError: It proves nothing.
    """
    from casemate.store.telemetry.keys import read_public
    from casemate.store.telemetry.proof import check, from_json

    if public_key is None:
        raise UsageError("a proof is checked with a key", hint="--public-key log.pub")
    return check(from_json(path.read_bytes()), read_public(public_key))


def place(path: Path) -> Path:
    """Return the telemetry folder that a path names or holds."""
    for folder in (path, path / TELEMETRY, path / ".casemate" / TELEMETRY):
        if (folder / "log").is_dir() or (folder / "journal").is_dir():
            return folder
    raise UsageError(f"there is no telemetry in {path}", hint="casemate guard makes it")
