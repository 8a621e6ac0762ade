"""Bundle: what a case holds, packed so that anyone can verify it offline.

Everything the case names goes in: its record, its custody log as it was hashed, what it was opened
from, orders, papers, the items of evidence, the events it rests on with the proof that each is in
the signed log. What is not there is listed with the reason.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

import casemate
from casemate.errors import MissingExtra, StoreError
from casemate.store import dsse
from casemate.store.cases import CaseBook
from casemate.store.keys import key_folder
from casemate.workflows import custody
from casemate.workflows.collecting import folder_of
from casemate.workflows.pieces import BECAUSE, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from casemate.case.bundle.packing import Packing
    from casemate.case.bundle.writing import Sealed
    from casemate.records.incident import Incident, Outcome
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

    Details = Mapping[str, str | int | float | bool | None]

KEY = "case.pem"
"""Signs the bundles of cases; in the folder of keys."""
KEPT = "bundles"
"""Folder of a case: checkpoints of its bundles, and what proves withheld items later."""
CHECKPOINTS = "checkpoints"


class Bundled(NamedTuple):
    """A bundle that was made."""

    folder: Path
    items: int
    withheld: int
    root: str
    """Root of its tree, in hex: whoever has it can hold the bundle to it."""
    notes: tuple[str, ...]
    """What to know besides, one sentence each."""
    key: str
    """Public key it is sealed with, `ed25519:` and base64."""


def bundle(
    loaded: Loaded,
    workspace: Workspace,
    case: Incident,
    *,
    out: Path,
    redact: Sequence[str] = (),
    withhold: Sequence[str] = (),
    by: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bundled:
    """Pack a case and put it on its log.

    Args:
        loaded: The configuration.
        workspace: Where the case is kept.
        case: The case.
        out: Folder to be made.
        redact: Fields whose values are replaced by pseudonyms wherever they occur.
        withhold: Items of which only the sealed hash is shown: names, `*` for anything.
        by: Who packs it.
        progress: Called with (what, bytes done, bytes in all).

    Raises:
        UsageError: There is something at `out`, a name matches nothing, or the redaction would
            leave something personal or break what proves the rest.
        StoreError: Something cannot be read or written; then nothing is left at `out`.
    """
    from casemate.case.bundle.packing import Packing
    from casemate.case.bundle.writing import Writer

    by = custody.named(by)
    key = case_key(workspace, os.environ)
    notes: list[str] = []
    found = {one.name: one for one in pieces_of(loaded, workspace, case, notes)}
    pieces = list(found.values())
    kept = folder_of(workspace, case.id) / KEPT
    total = sum(one.size for one in pieces)
    try:
        packing = Packing(pieces, redact=redact, withhold=withhold, progress=progress)
        with Writer(out, case.id, progress=progress, total=total) as writer:
            packing.pack(writer, packing.text(by))
            sealed = writer.finish(
                key,
                by=packing.text(by),
                tool=f"casemate {casemate.__version__}",
                previous=_previous(kept),
                because=BECAUSE,
                fields=["a text" if one.startswith("=") else one for one in redact],
                title=packing.text(case.title),
                notes=[packing.text(one) for one in notes],
            )
    except StoreError as error:
        with contextlib.suppress(StoreError):  # where the disk is full, this may not fit either
            _log(workspace, case, by, f"a bundle could not be made: {error}", "failed", (), {})
        raise
    _keep(loaded, case, kept, sealed, packing, notes)
    public = dsse.words(key.public_key())
    withheld = len(sealed.withheld)
    text = f"bundle of {sealed.items} items sealed, {withheld} of them withheld"
    details: Details = {"items": sealed.items, "withheld": withheld, "key": public}
    _log(workspace, case, by, text, "done", (f"sha256:{sealed.root}",), details)
    return Bundled(sealed.folder, sealed.items, withheld, sealed.root, tuple(notes), public)


def case_key(workspace: Workspace, environ: Mapping[str, str]) -> Ed25519PrivateKey:
    """Return the key that signs cases, made on first use in the folder of keys.

    Raises:
        UsageError: It lies within the workspace, or others may read it.
        StoreError: It cannot be read or made.
        MissingExtra: cryptography is not installed.
    """
    try:
        from casemate.store.telemetry.keys import signing_key

        return signing_key(key_folder(environ) / KEY, workspace.folder)
    except ModuleNotFoundError as error:
        raise MissingExtra("case", for_="a bundle") from error


def _previous(kept: Path) -> str:
    from casemate.case.bundle.sealing import FIRST
    from casemate.store.telemetry.checkpoint import split

    try:
        notes, _ = split((kept / CHECKPOINTS).read_bytes())
    except FileNotFoundError:
        return FIRST
    return hashlib.sha256(notes[-1]).hexdigest() if notes else FIRST


def _keep(
    loaded: Loaded, case: Incident, kept: Path, sealed: Sealed, packing: Packing, notes: list[str]
) -> None:
    """Keep what holds the bundle to its word later, and what only its maker may know."""
    from casemate.store.telemetry.durable import append

    places = [kept]
    if loaded.config.guard.witness:
        places.append(loaded.root / loaded.config.guard.witness / "cases" / case.id)
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            append(place / CHECKPOINTS, sealed.checkpoint + b"\n")
        except OSError as error:
            notes.append(f"its checkpoint could not be kept in {place}: {error.strerror}")
    secrets = {"withheld.jsonl": b"".join(line + b"\n" for line in sealed.withheld)}
    if packing.redactor is not None:
        secrets["pseudonyms.json"] = msgspec.json.encode(packing.redactor.pseudonyms)
    for name, data in secrets.items():
        if data:
            path = kept / sealed.root[:16] / name
            path.parent.mkdir(mode=0o700, exist_ok=True)
            append(path, data)


def _log(
    workspace: Workspace,
    case: Incident,
    by: str,
    text: str,
    outcome: Outcome,
    records: tuple[str, ...],
    details: Details,
) -> None:
    action = custody.action(by, "bundled", text, outcome=outcome, records=records, details=details)
    CaseBook(workspace).change(case.id, action)


def disclose(workspace: Workspace, case: Incident, folder: Path, which: str) -> bytes:
    """Return the proof that an item is in a bundle of this case, also of one that is withheld.

    Args:
        workspace: Where the case is kept.
        case: The case.
        folder: Of the bundle.
        which: Name or number of the item.

    Raises:
        UsageError: There is no such item.
        StoreError: The bundle cannot be read.
    """
    from casemate.case.bundle.proving import prove_item

    kept = folder_of(workspace, case.id) / KEPT
    lines = [
        line for path in kept.glob("*/withheld.jsonl") for line in path.read_bytes().splitlines()
    ]
    return prove_item(folder, which, lines)
