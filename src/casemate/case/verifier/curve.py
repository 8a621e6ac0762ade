"""Ed25519 as RFC 8032 has it, verification only, and how public keys are written."""

from __future__ import annotations

import base64
import hashlib
import re

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_I = pow(2, (_P - 1) // 4, _P)


def ed25519(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature holds (RFC 8032, 5.1.7)."""
    public, r = _point(key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if public is None or r is None or len(signature) != 64 or len(key) != 32 or s >= _L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % _L
    left, right = _times(s, _base()), _add(r, _times(h, public))
    return not (left[0] * right[2] - right[0] * left[2]) % _P and not (
        (left[1] * right[2] - right[1] * left[2]) % _P
    )


def _base() -> tuple[int, ...]:
    found = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    assert found is not None
    return found


def _point(data: bytes) -> tuple[int, ...] | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _I % _P
    if (x * x - square) % _P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _add(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(s: int, p: tuple[int, ...]) -> tuple[int, ...]:
    q: tuple[int, ...] = (0, 1, 1, 0)
    while s:
        if s & 1:
            q = _add(q, p)
        p = _add(p, p)
        s >>= 1
    return q


def read_key(text: bytes) -> bytes:
    """Return the 32 bytes of a public key: PEM, or `ed25519:` and base64."""
    match = re.search(rb"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.DOTALL)
    if match:
        der = base64.b64decode(match[1])
        if der[:12].hex() == "302a300506032b6570032100" and len(der) == 44:
            return der[12:]
    elif text.startswith(b"ed25519:"):
        key = base64.b64decode(text[8:].strip(), validate=True)
        if len(key) == 32:
            return key
    raise ValueError("not an Ed25519 public key")


def name_key(key: bytes) -> str:
    """Return a key as it is named."""
    return "ed25519:" + base64.b64encode(key).decode()
