"""Items of evidence: what was frozen for a case, and what has been copied since.

They lie in a folder of the case, `items.jsonl` beside the copies. Freezing writes pointers and
small things at once; collecting copies the bulk later; a bundle packs what is there and says what
is not.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from casemate.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ItemKind = Literal[
    "record", "config", "log", "events", "artifact", "payload", "paper", "environment"
]
ItemState = Literal["frozen", "copied", "changed", "absent", "failed"]
"""`frozen`: its digest or place is known, its bytes are still elsewhere. `changed`: when it was to
be copied it was no longer what had been frozen; the copy is of what was there then."""
LIST = "items.jsonl"
COPIES = "items"
_BLOCK = 1 << 20


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


def keep(
    folder: Path,
    name: str,
    data: bytes | Iterable[bytes],
    *,
    kind: ItemKind,
    source: str,
    how: str,
    at: datetime,
) -> Item:
    """Write bytes into the case's folder, in pieces or at once; return their item, not yet listed.

    Raises:
        StoreError: The disk is full, or the folder cannot be written.
    """
    hashed = hashlib.sha256()
    size = 0
    target = folder / COPIES
    part = None
    try:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=target, prefix=".part-", delete=False) as out:
            part = out.name
            for piece in (data,) if isinstance(data, bytes) else data:
                hashed.update(piece)
                size += len(piece)
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        digest = hashed.hexdigest()
        Path(part).replace(target / digest)
        part = None
    except OSError as error:
        raise StoreError(f"evidence cannot be written to {folder}: {error.strerror}") from error
    finally:  # whatever stopped it, be it what yields the pieces
        _drop(part)
    return Item(
        name=name,
        kind=kind,
        state="copied",
        source=source,
        how=how,
        at=at,
        digest=f"sha256:{digest}",
        bytes=size,
        copy=digest,
    )


def copy(
    folder: Path,
    item: Item,
    path: Path,
    *,
    at: datetime,
    progress: Callable[[str, int, int], None] | None = None,
) -> Item:
    """Copy a file that was frozen and return its item as it is now, not yet listed.

    A file that is gone, cannot be read or does not fit gives an item that says so.

    Args:
        folder: Of the case.
        item: As it was frozen.
        path: The file.
        at: The present time.
        progress: Called with (what, bytes done, bytes in all).
    """
    made = msgspec.structs.replace(item, at=at)
    part = None
    try:
        with path.open("rb") as data:
            total = os.fstat(data.fileno()).st_size
            target = folder / COPIES
            target.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=target, prefix=".part-", delete=False) as out:
                part = out.name
                hashed = hashlib.sha256()
                done = 0
                while block := data.read(_BLOCK):
                    hashed.update(block)
                    out.write(block)
                    done += len(block)
                    if progress is not None:
                        progress(f"copy: {item.name}", done, max(total, done))
                out.flush()
                os.fsync(out.fileno())
        digest = hashed.hexdigest()
        Path(part).replace(target / digest)
        part = None
    except FileNotFoundError:
        return msgspec.structs.replace(made, state="absent", why="it is no longer there")
    except OSError as error:
        return msgspec.structs.replace(made, state="failed", why=str(error.strerror))
    finally:
        _drop(part)
    named = f"sha256:{digest}"
    same = item.frozen_digest in (None, named)
    return msgspec.structs.replace(
        made,
        state="copied" if same else "changed",
        how="copied",
        digest=named,
        bytes=done,
        copy=digest,
        why=None if same else "it is no longer what it was when the case was opened",
    )


def digest_of(path: Path) -> tuple[str, int]:
    """Return `sha256:` and the digest of a file, and its bytes.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as data:
        found = hashlib.file_digest(data, "sha256")
        return f"sha256:{found.hexdigest()}", data.tell()


def digest_within(path: Path, until: float) -> tuple[str | None, int]:
    """Return the digest of a file, None where the time does not suffice, and its bytes.

    Args:
        path: The file.
        until: Of `time.monotonic`, when to stop.

    Raises:
        OSError: It cannot be read.
    """
    hashed = hashlib.sha256()
    with path.open("rb") as data:
        size = os.fstat(data.fileno()).st_size
        while time.monotonic() < until:
            if not (block := data.read(_BLOCK)):
                return f"sha256:{hashed.hexdigest()}", data.tell()
            hashed.update(block)
    return None, size


def _drop(part: str | None) -> None:
    if part is not None:
        with contextlib.suppress(OSError):
            Path(part).unlink()


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as data:
        data.seek(-1, os.SEEK_END)
        return data.read(1) == b"\n"
