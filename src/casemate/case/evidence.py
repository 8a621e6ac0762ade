"""Items of evidence: what was frozen for a case, and what has been copied since.

They lie in a folder of the case, `items.jsonl` beside the copies. Freezing writes pointers and
small things at once; collecting copies the bulk later; a bundle packs what is there and says what
is not.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from casemate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ItemKind = Literal[
    "record", "config", "log", "events", "artifact", "payload", "paper", "environment"
]
ItemState = Literal["frozen", "copied", "changed", "absent", "failed"]
"""`frozen`: its digest or place is known, its bytes are still elsewhere. `changed`: when it was to
be copied it was no longer what had been frozen; the copy is of what was there then."""
LIST = "items.jsonl"
COPIES = "items"


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is kept as evidence."""

    name: str
    """Unique in the case, a relative path with `/`: `config/casemate.toml`."""
    kind: ItemKind
    state: ItemState
    source: str
    """Where it was found: a path relative to the configuration, or an id."""
    how: str
    """How it was got: `copied`, `written from the workspace`, `queried from the telemetry`."""
    at: datetime
    """Aware, UTC."""
    digest: str | None = None
    """`sha256:` and 64 hex digits, of the copy where there is one."""
    frozen_digest: str | None = None
    """The same when it was frozen, where that was done then."""
    bytes: int | None = None
    copy: str | None = None
    """Name of the copy in the folder `items`; None where there is none."""
    why: str | None = None
    """For `absent` and `failed`: the reason."""


def read(folder: Path) -> list[Item]:
    """Return the items of a case, the last word on each, in the order they were first named.

    Raises:
        StoreError: A line is no item.
    """
    try:
        lines = (folder / LIST).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found: dict[str, Item] = {}
    for number, text in enumerate(lines, 1):
        try:
            one = msgspec.json.decode(text, type=Item)
        except msgspec.DecodeError as error:
            if number == len(lines):
                continue  # broken off while it was written; what it told of is still `frozen`
            raise StoreError(f"{folder / LIST}, line {number}, is no item: {error}") from error
        found[one.name] = one
    return list(found.values())


def write(folder: Path, items: Iterable[Item]) -> None:
    """Append items to a case's list, durably."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / LIST
    with path.open("ab") as out:
        if out.tell() and not _ends_with_newline(path):
            out.write(b"\n")
        for one in items:
            out.write(msgspec.json.encode(one) + b"\n")
        out.flush()
        os.fsync(out.fileno())


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as data:
        data.seek(-1, os.SEEK_END)
        return data.read(1) == b"\n"
