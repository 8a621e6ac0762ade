"""The seal of a bundle: the line of each item, the signed checkpoint, the signed statements."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.case.verifier.statements import COLLECTION, REDACTION
from casemate.export.canonical import canonical
from casemate.records.statement import Statement, Subject
from casemate.store import dsse
from casemate.store.telemetry.checkpoint import key_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIRST = "0" * 64
"""What the first checkpoint of a case names as the one before."""


class Leaf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item's line; its bytes are a leaf of the tree, made unguessable by the salt."""

    number: int
    """Place in the tree, from 0."""
    producer: str
    sequence: int
    """Counts up by one per producer from 0, so that a missing item shows."""
    name: str
    kind: str
    salt: str
    """32 hex digits, random."""
    path: str | None = None
    """Of its file in the bundle; None where nothing was collected."""
    sha256: str | None = None
    bytes: int | None = None
    why: str | None = None
    instead_of: int | None = None
    """Number of the withheld item that this is the redacted copy of."""


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle shows of an item that is withheld."""

    number: int
    producer: str
    sequence: int
    leaf: str
    """Hash of its line, in hex."""


_encoder = msgspec.json.Encoder(order="sorted")


def line(leaf: Leaf | Withheld) -> bytes:
    """Return the bytes of a line, without a newline."""
    return _encoder.encode(leaf)


def salt() -> str:
    """Return a new salt."""
    return secrets.token_hex(16)


def sign_checkpoint(
    key: Ed25519PrivateKey, *, size: int, root: bytes, case: str, sealed: str, previous: str
) -> bytes:
    """Return the signed note over a bundle's tree.

    Each bundle is a log of its own, with an origin at random, that never grows.

    Args:
        key: Of the case.
        size: Items.
        root: Of the tree.
        case: Id of the case.
        sealed: Time in UTC.
        previous: SHA-256 of the checkpoint of the case's bundle before, in hex.
    """
    origin = f"casemate/bundle/{secrets.token_hex(16)}"
    text = (
        f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        f"case {case}\nsealed {sealed}\nprevious {previous}\n"
    )
    signature = key_id(origin, key.public_key()) + key.sign(text.encode())
    return f"{text}\n\N{EM DASH} {origin} {base64.b64encode(signature).decode()}\n".encode()


def sign_statement(
    key: Ed25519PrivateKey, checkpoint: bytes, kind: str, predicate: dict[str, Any]
) -> bytes:
    """Return a signed statement about the bundle that a checkpoint seals.

    Args:
        key: Of the case.
        checkpoint: The note.
        kind: Predicate type.
        predicate: What is stated.
    """
    digest = f"sha256:{hashlib.sha256(checkpoint).hexdigest()}"
    subject = Subject(name="seal/checkpoint", digest=digest)
    statement = Statement(subjects=(subject,), predicate_type=kind, predicate=predicate)
    return dsse.to_json(dsse.sign(in_toto(statement), dsse.IN_TOTO, key))


def in_toto(statement: Statement) -> bytes:
    """Return a statement as in-toto has it, in canonical JSON (RFC 8785).

    Source: github.com/in-toto/attestation, spec/v1/statement.md.
    """
    subjects = [
        {"name": one.name, "digest": dict([one.digest.split(":", 1)])} for one in statement.subjects
    ]
    return canonical(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": statement.predicate_type,
            "predicate": statement.predicate,
        }
    )


def collection(
    *,
    case: str,
    by: str,
    tool: str,
    producers: Sequence[tuple[str, int, str]],
    bag_info: dict[str, str],
    notes: Sequence[str],
    redaction: bool,
) -> tuple[str, dict[str, Any]]:
    """Return predicate type and predicate of what was collected.

    Args:
        case: Id of the case.
        by: Who packed it.
        tool: With what.
        producers: Name, number of items, and for none the reason.
        bag_info: What the bag says of itself.
        notes: What is to be known besides.
        redaction: Whether there is a statement on what is withheld.
    """
    given = [
        {"name": name, "items": count, **({} if count else {"because": because})}
        for name, count, because in producers
    ]
    return COLLECTION, {
        "case": case,
        "by": by,
        "tool": tool,
        "producers": given,
        "bag_info": bag_info,
        "notes": list(notes),
        "redaction": redaction,
    }


def redaction(
    *, case: str, by: str, fields: Sequence[str], withheld: Sequence[dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """Return predicate type and predicate of what is withheld and why."""
    return REDACTION, {"case": case, "by": by, "fields": list(fields), "withheld": list(withheld)}
