"""DSSE envelopes: bytes signed together with what kind of bytes they are, Ed25519 throughout.

Scopes of red-team exercises and the statements of evidence bundles are signed in it; what a key
signed as one kind cannot be shown as another. A key is called `ed25519:` and its base64.

Source: github.com/secure-systems-lab/dsse, protocol.md and envelope.md.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from casemate.errors import MissingExtra, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

PREFIX = "ed25519:"
IN_TOTO = "application/vnd.in-toto+json"
"""Payload type of an in-toto Statement."""


def pae(kind: str, body: bytes) -> bytes:
    """Return DSSE's pre-authentication encoding of a payload: what is signed."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(body), body)


def sign(payload: bytes, kind: str, key: Ed25519PrivateKey) -> dict[str, Any]:
    """Return the envelope of a payload.

    Args:
        payload: Any bytes.
        kind: Its payload type.
        key: Signs it.
    """
    signature = key.sign(pae(kind, payload))
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [
            {"keyid": words(key.public_key()), "sig": base64.b64encode(signature).decode()}
        ],
    }


def to_json(envelope: Mapping[str, Any]) -> bytes:
    """Return an envelope as a file's bytes, always the same ones."""
    return json.dumps(envelope, indent=1, sort_keys=True).encode() + b"\n"


def verify(
    envelope: bytes | Mapping[str, Any], keys: Collection[str], kind: str
) -> tuple[bytes, str]:
    """Return the payload of an envelope, and the one of the keys that has signed it.

    Args:
        envelope: As JSON, or read.
        keys: Public keys of those who are trusted.
        kind: The payload type it must have.

    Raises:
        StoreError: Not an envelope, one of something else, or nobody trusted has signed it.
    """
    payload, found, signatures = opened(envelope)
    if found != kind:
        raise StoreError(f"a signature of something else: {found}")
    for key, signature in signatures:
        if key in keys and holds(key, signature, pae(kind, payload)):
            return payload, key
    raise StoreError("nobody who is trusted has signed it")


def opened(
    envelope: bytes | Mapping[str, Any],
) -> tuple[bytes, str, tuple[tuple[str, bytes], ...]]:
    """Return payload, payload type, and (key, signature) for each signature, none of it checked.

    Raises:
        StoreError: Not an envelope.
    """
    try:
        body: Any = json.loads(envelope) if isinstance(envelope, bytes) else envelope
        signatures = tuple(
            (str(one["keyid"]), base64.b64decode(one["sig"], validate=True))
            for one in body["signatures"]
        )
        payload = base64.b64decode(body["payload"], validate=True)
        return payload, str(body["payloadType"]), signatures
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError("not a DSSE envelope") from error


def words(public: Ed25519PublicKey) -> str:
    """Return a public key as it is named: `ed25519:` and base64."""
    return PREFIX + base64.b64encode(public.public_bytes_raw()).decode()


def holds(key: str, signature: bytes, message: bytes) -> bool:
    """Return whether a signature is one by the key over the message."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtra("case", for_="a signature") from error
    try:
        raw = base64.b64decode(key.removeprefix(PREFIX), validate=True)
        ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(signature, message)
    except (ValueError, InvalidSignature):
        return False
    return key.startswith(PREFIX)
