"""Bearer tokens: the claim of a JSON Web Token that names the principal.

Verified with an HMAC secret or with public keys where the policy gives them; the algorithm is
the key's, never the token's own choice.

Source: RFC 7515, RFC 7517, RFC 7519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from casemate.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from casemate.guard.policy import PrincipalTable

_LONGEST = 16384
_SHORTEST = 32
_LEEWAY = 60
_HASHES = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_CURVES = {"P-256": ("ES256", 32), "P-384": ("ES384", 48)}
_RSA_BITS = 2048


class _Head(msgspec.Struct):
    alg: str
    kid: str | None = None
    crit: msgspec.Raw | None = None


class _Key(msgspec.Struct):
    kty: Literal["RSA", "EC", "OKP"]
    kid: str | None = None
    alg: str | None = None
    crv: str | None = None
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _KeySet(msgspec.Struct):
    keys: list[_Key]


class Tokens:
    """Reads one claim out of bearer tokens."""

    def __init__(self, table: PrincipalTable, *, secrets: Mapping[str, str], root: Path) -> None:
        """Prepare the verification.

        Raises:
            UsageError: The secret is not set or too short, or the file holds no usable keys.
        """
        self._claim = table.claim or ""
        self._secret = b""
        self._public: list[tuple[str | None, str, Any]] = []
        if table.secret_env:
            self._secret = secrets.get(table.secret_env, "").encode()
            if len(self._secret) < _SHORTEST:
                raise UsageError(
                    f"guard.principal.secret_env: {table.secret_env} holds "
                    f"{len(self._secret)} bytes; tokens need {_SHORTEST}"
                )
        if table.jwks:
            self._public = _public_keys(root / table.jwks)
        self._verifies = bool(table.secret_env or table.jwks)

    def claim(self, authorization: str, at: int) -> tuple[str, str | None]:
        """Return the claim of a token, or nothing and why.

        Args:
            authorization: Value of the header.
            at: Now, in microseconds since the epoch.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return "", None
        parts = token.strip().split(".")
        if len(parts) != 3 or len(token) > _LONGEST:
            return "", "a bearer token that is no JSON Web Token"
        try:
            head = msgspec.json.decode(_decode(parts[0]), type=_Head)
            claims = msgspec.json.decode(_decode(parts[1]), type=dict[str, Any])
            signature = _decode(parts[2])
        except (ValueError, RecursionError):
            return "", "a bearer token that cannot be read"
        if self._verifies:
            if head.crit is not None:
                return "", "a bearer token with conditions that are not understood"
            signed = token.strip().rpartition(".")[0].encode("ascii", "replace")
            if not self._signed(head, signed, signature):
                return "", "a bearer token with a wrong signature"
            if not _timely(claims, at / 1e6):
                return "", "a bearer token out of its time"
        found = claims.get(self._claim)
        if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
            return "", f"a bearer token without the claim {self._claim!r}"
        return str(found), None

    def _signed(self, head: _Head, signed: bytes, signature: bytes) -> bool:
        if self._secret and head.alg in _HASHES:
            made = hmac.new(self._secret, signed, getattr(hashlib, _HASHES[head.alg])).digest()
            return hmac.compare_digest(made, signature)
        return any(
            _verify(key, alg, signed, signature)
            for kid, alg, key in self._public
            if alg == head.alg and (head.kid is None or kid is None or kid == head.kid)
        )


def signed_claims(token: str, keys: bytes, now: float) -> dict[str, Any]:
    """Return the claims of a token that one of the public keys signed and whose time it is.

    Args:
        token: A JSON Web Token.
        keys: A JSON Web Key Set.
        now: Seconds since the epoch.

    Raises:
        FormatError: Not a token, no such key, a wrong signature, or out of its time.
    """
    parts = token.strip().split(".")
    if len(parts) != 3 or len(token) > _LONGEST:
        raise FormatError("not a JSON Web Token")
    try:
        head = msgspec.json.decode(_decode(parts[0]), type=_Head)
        claims = msgspec.json.decode(_decode(parts[1]), type=dict[str, Any])
        signature = _decode(parts[2])
        found = msgspec.json.decode(keys, type=_KeySet)
        public = [made for key in found.keys if (made := _public_key(key)) is not None]
    except (ValueError, RecursionError) as error:
        raise FormatError("a token or a key set that cannot be read") from error
    signed = token.strip().rpartition(".")[0].encode("ascii", "replace")
    good = head.crit is None and any(
        _verify(key, alg, signed, signature)
        for kid, alg, key in public
        if alg == head.alg and (head.kid is None or kid is None or kid == head.kid)
    )
    if not good:
        raise FormatError("a token that none of the keys has signed")
    if not _timely(claims, now):
        raise FormatError("a token out of its time")
    return claims


def _timely(claims: dict[str, Any], now: float) -> bool:
    for name, early in (("exp", False), ("nbf", True)):
        when = claims.get(name)
        if when is None:
            continue
        if isinstance(when, bool) or not isinstance(when, (int, float)):
            return False
        if (when - _LEEWAY > now) if early else (when + _LEEWAY < now):
            return False
    return True


def _decode(part: str) -> bytes:
    try:
        raw = part.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError("not base64url") from error
    if b"=" in raw or b"+" in raw or b"/" in raw:
        raise ValueError("not base64url")
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4), b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error


def _public_keys(path: Path) -> list[tuple[str | None, str, Any]]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_KeySet)
        keys = [made for key in found.keys if (made := _public_key(key)) is not None]
    except (OSError, ValueError) as error:
        raise UsageError(f"guard.principal.jwks: {path}: {error}") from error
    if not keys:
        raise UsageError(f"guard.principal.jwks: {path} holds no key that can be used")
    return keys


def _public_key(key: _Key) -> tuple[str | None, str, Any] | None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    def number(text: str) -> int:
        return int.from_bytes(_decode(text), "big")

    if key.kty == "RSA":
        made = rsa.RSAPublicNumbers(number(key.e), number(key.n)).public_key()
        if made.key_size < _RSA_BITS:
            raise ValueError(f"an RSA key of {made.key_size} bits")
        return key.kid, key.alg or "RS256", made
    if key.kty == "EC" and key.crv in _CURVES:
        curve = ec.SECP256R1() if key.crv == "P-256" else ec.SECP384R1()
        point = ec.EllipticCurvePublicNumbers(number(key.x), number(key.y), curve)
        return key.kid, _CURVES[key.crv][0], point.public_key()
    if key.kty == "OKP" and key.crv == "Ed25519":
        return key.kid, "EdDSA", ed25519.Ed25519PublicKey.from_public_bytes(_decode(key.x))
    return None


def _verify(key: Any, alg: str, signed: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    hashed: Any = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}.get(
        alg[2:]
    )
    try:
        if alg == "EdDSA":
            key.verify(signature, signed)
        elif alg.startswith("RS") and hashed is not None:
            key.verify(signature, signed, padding.PKCS1v15(), hashed)
        elif alg.startswith("PS") and hashed is not None:
            salted = padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH)
            key.verify(signature, signed, salted, hashed)
        elif alg.startswith("ES") and hashed is not None:
            half = len(signature) // 2
            if half not in (32, 48) or len(signature) % 2:
                return False
            pair = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
            key.verify(utils.encode_dss_signature(*pair), signed, ec.ECDSA(hashed))
        else:
            return False
    except (InvalidSignature, AttributeError, TypeError, ValueError):
        return False
    return True
