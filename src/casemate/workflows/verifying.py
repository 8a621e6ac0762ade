"""Verify what was kept: telemetry, a bundle of evidence, or the proof of one of its parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import CasemateError, MissingExtra, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.case.verifier.folder import Bundle
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


def is_bundle(path: Path) -> bool:
    """Return whether a folder is an evidence bundle, or what is left of one."""
    return any((path / name).exists() for name in ("seal", "bagit.txt", "manifest-sha256.txt"))


def verify_bundle(
    path: Path,
    *,
    keys: Sequence[str] = (),
    log_keys: Sequence[str] = (),
    witness: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Bundle:
    """Verify an evidence bundle.

    Without a key it is held to the one in the folder of keys, where it was sealed with that.

    Args:
        path: Folder of the bundle.
        keys: Files of public keys that may have sealed it, or `ed25519:` and base64.
        log_keys: Likewise of the log of events.
        witness: File with checkpoints of the case's bundles, or the folder it lies in.
        progress: Called with (what, done, total).

    Raises:
        UsageError: A key or the witness cannot be read.
    """
    from casemate.case.verifier.program import check

    notes = None
    if witness is not None:
        file = witness / "checkpoints" if witness.is_dir() else witness
        try:
            notes = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    trusted = [_key(one) for one in keys] or _own(path)
    return check(str(path), trusted, [_key(one) for one in log_keys], notes, progress)


def proved(bundle: Bundle) -> list[str]:
    """Return in words what verifying a bundle has proved, and what not."""
    from casemate.case.verifier.program import proved as words

    return words(bundle)


def is_item_proof(path: Path) -> bool:
    """Return whether a file is a proof of one item of a bundle."""
    from casemate.case.verifier.proof import PROOF_HEAD

    try:
        with path.open("rb") as file:
            return file.read(len(PROOF_HEAD)) == PROOF_HEAD.encode()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def check_item(path: Path, keys: Sequence[str], file: Path | None) -> dict[str, Any]:
    """Return the item that a proof is for.

    Raises:
        UsageError: No key to check it with.
        StoreError: It proves nothing.
    """
    from casemate.case.verifier.proof import check_proof

    if not keys:
        raise UsageError("a proof is checked with a key", hint="--public-key case.pub")
    trusted = [_key(one) for one in keys]
    try:
        text = path.read_bytes()
        return check_proof(text, trusted, None if file is None else str(file))
    except (ValueError, OSError) as error:
        raise StoreError(f"it proves nothing: {error}") from error


def prove_item(path: Path, which: str) -> bytes:
    """Return the proof that an item is in a bundle, by its name or number.

    Raises:
        UsageError: There is no such item, or it is withheld.
    """
    from casemate.case.bundle.proving import prove_item as prove

    return prove(path, which)


def verifier() -> bytes:
    """Return the verifier of bundles as one file that needs nothing of this program."""
    from casemate.case.verifier.one_file import assemble

    return assemble()


def _key(named: str) -> bytes:
    from casemate.case.verifier.curve import read_key

    try:
        return read_key(named.encode() if named.startswith("ed25519:") else _bytes(Path(named)))
    except ValueError as error:
        raise UsageError(f"{named}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _own(path: Path) -> list[bytes]:
    """Return this user's own key where the bundle says it was sealed with that."""
    from casemate.case.verifier.curve import read_key
    from casemate.store.keys import key_folder

    try:
        from casemate.store.telemetry.keys import raw, signing_key

        private = key_folder(os.environ) / "case.pem"
        named = read_key((path / "seal" / "case.pub").read_bytes())
        own = raw(signing_key(private, path).public_key()) if private.exists() else None
    except (ModuleNotFoundError, CasemateError, OSError, ValueError):
        return []
    return [own] if own == named else []


def place(path: Path) -> Path:
    """Return the telemetry folder that a path names or holds."""
    for folder in (path, path / TELEMETRY, path / ".casemate" / TELEMETRY):
        if (folder / "log").is_dir() or (folder / "journal").is_dir():
            return folder
    raise UsageError(f"there is no telemetry in {path}", hint="casemate guard makes it")
