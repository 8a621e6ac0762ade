"""Frame: the bytes of one message on a stream, with a seal that only our own guards can make.

A broker is shared, and whoever may write to it could otherwise order guards to block everybody, or
to let an attacker through. With a key each message carries a keyed BLAKE2b over topic and body, and
one without it is not read.
"""

from __future__ import annotations

import hashlib
import hmac

from casemate.errors import FormatError

_MAGIC = b"casemate/1 "
_DIGITS = 64
_LONGEST = 16 * 1024 * 1024


def pack(topic: str, body: bytes, key: bytes | None) -> bytes:
    """Return the message for a body; without a key its seal is a plain checksum."""
    return _MAGIC + _seal(topic, body, key) + b"\n" + body


def unpack(topic: str, data: bytes, key: bytes | None) -> bytes:
    """Return the body of a message.

    Raises:
        FormatError: Not a message of ours, cut, changed, or sealed with another key.
    """
    head = len(_MAGIC) + _DIGITS
    if len(data) > _LONGEST or data[: len(_MAGIC)] != _MAGIC or data[head : head + 1] != b"\n":
        raise FormatError(f"{topic}: a message that is not ours")
    body = data[head + 1 :]
    if not hmac.compare_digest(data[len(_MAGIC) : head], _seal(topic, body, key)):
        raise FormatError(
            f"{topic}: a message whose seal does not fit",
            hint="guards that share a stream need the same guard key",
        )
    return body


def _seal(topic: str, body: bytes, key: bytes | None) -> bytes:
    digest = hashlib.blake2b(
        topic.encode() + b"\0" + body,
        key=(key or b"")[:64],
        digest_size=_DIGITS // 2,
        person=b"casemate-stream",
    )
    return digest.hexdigest().encode()
