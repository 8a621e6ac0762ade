"""Checkpoints: size and root of a tree, signed (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import NamedTuple

from casemate.case.verifier.curve import ed25519

_NOTE = re.compile(
    r"(casemate/bundle/[0-9a-f]{32})\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
    r"case ([^\n]+)\nsealed ([0-9T:.Z-]{20,27})\nprevious ([0-9a-f]{64})\n\n"
    r"\u2014 (casemate/bundle/[0-9a-f]{32}) ([A-Za-z0-9+/]{91}=)\n"
)


class Checkpoint(NamedTuple):
    """What was signed."""

    origin: str
    size: int
    root: bytes
    case: str
    sealed: str
    previous: str
    note: bytes


def parse_checkpoint(note: bytes) -> Checkpoint:
    """Read the checkpoint of a bundle; every byte must be as it is written."""
    match = _NOTE.fullmatch(note.decode("utf-8"))
    if match is None or match[1] != match[7]:
        raise ValueError("not a checkpoint of a bundle")
    root = base64.b64decode(match[3])
    if base64.b64encode(root).decode() != match[3]:
        raise ValueError("its base64 is not canonical")
    return Checkpoint(match[1], int(match[2]), root, match[4], match[5], match[6], note)


def note_signed(note: bytes, key: bytes) -> bool:
    """Return whether a key has signed a note (c2sp.org/signed-note)."""
    text, _, signatures = note.partition(b"\n\n")
    _, name, sealed = signatures.rstrip(b"\n").split(b" ")
    raw = base64.b64decode(sealed)
    ident = hashlib.sha256(name + b"\n\x01" + key).digest()[:4]
    whole = base64.b64encode(raw) == sealed and raw[:4] == ident
    return whole and ed25519(key, text + b"\n", raw[4:])
