"""Checkpoints: size and root of the log at a moment, signed.

The form is the signed note of https://c2sp.org/tlog-checkpoint with one extension line, the
SHA-256 of the checkpoint before, so that none can be left out. A file holds them one after
another, each followed by an empty line; it is only ever added to.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_NOTE = re.compile(
    rb"(casemate/telemetry/[0-9a-f]{32})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
    rb"previous ([0-9a-f]{64})\n\n"
    rb"\xe2\x80\x94 (casemate/telemetry/[0-9a-f]{32}) ([A-Za-z0-9+/]{91}=)\n"
)
FIRST = "0" * 64
"""What the first checkpoint names as the one before."""


class Checkpoint(NamedTuple):
    """One checkpoint as it was read; `signed_by` says whether it is true."""

    origin: str
    """`casemate/telemetry/` and 32 hex digits: the name of the log, random."""
    size: int
    """Leaves in the log."""
    root: bytes
    previous: str
    """SHA-256 of the note before, in hex."""
    note: bytes
    """The whole text."""

    @property
    def digest(self) -> str:
        """SHA-256 of the note, in hex."""
        return hashlib.sha256(self.note).hexdigest()

    def signed_by(self, key: Ed25519PublicKey) -> bool:
        """Return whether the key signed it."""
        from cryptography.exceptions import InvalidSignature

        text, _, signature = self.note.partition(b"\n\n")
        sealed = base64.b64decode(signature.split(b" ")[2].strip())
        if sealed[:4] != key_id(self.origin, key):
            return False
        try:
            key.verify(sealed[4:], text + b"\n")
        except InvalidSignature:
            return False
        return True


def sign(key: Ed25519PrivateKey, origin: str, size: int, root: bytes, previous: str) -> Checkpoint:
    """Return a signed checkpoint."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\nprevious {previous}\n"
    sealed = key_id(origin, key.public_key()) + key.sign(text.encode())
    signature = f"\N{EM DASH} {origin} {base64.b64encode(sealed).decode()}\n"
    return Checkpoint(origin, size, root, previous, f"{text}\n{signature}".encode())


def parse(note: bytes) -> Checkpoint:
    """Read a note; every byte must be as `sign` writes it.

    Raises:
        StoreError: Not a checkpoint.
    """
    match = _NOTE.fullmatch(note)
    if match is None or match[1] != match[5]:
        raise StoreError("not a checkpoint")
    root = base64.b64decode(match[3])
    if base64.b64encode(root) != match[3]:
        raise StoreError("not a checkpoint: its base64 is not canonical")
    if base64.b64encode(base64.b64decode(match[6])) != match[6]:
        raise StoreError("not a checkpoint: its base64 is not canonical")
    return Checkpoint(match[1].decode(), int(match[2]), root, match[4].decode(), note)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the notes of a file, and what stands after the last whole one."""
    notes: list[bytes] = []
    begin = 0
    while (body := data.find(b"\n\n", begin)) >= 0:
        end = data.find(b"\n\n", body + 2)
        if end < 0:
            break
        notes.append(data[begin : end + 1])
        begin = end + 2
    return notes, data[begin:]


def key_id(origin: str, key: Ed25519PublicKey) -> bytes:
    """Return the four bytes by which a signed note tells keys apart (c2sp.org/signed-note)."""
    named = origin.encode() + b"\n\x01" + key.public_bytes_raw()
    return hashlib.sha256(named).digest()[:4]
