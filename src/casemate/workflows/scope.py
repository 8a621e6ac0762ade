"""The scope of a red-team exercise: what may be attacked, when, how hard, on whose word.

A scope is a TOML file that a person with authority over the target has signed. Before every run
redteam checks the signature against the keys that casemate.toml names, then the target, the hour
and what is left to spend. The signature is a DSSE envelope over the file's bytes (Ed25519).
"""

from __future__ import annotations

import fnmatch
import os
import re
import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from casemate.errors import MissingExtra, StoreError, UsageError
from casemate.store import dsse
from casemate.targets import address

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD_TYPE = "application/vnd.casemate.scope+toml"
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_LARGEST = 1 << 20


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a signed scope file allows; everything it does not say is forbidden."""

    version: int
    name: str
    approver: str
    """Who allows it, by name; goes on record with every query."""
    hosts: tuple[str, ...]
    """`host:port`, exactly as in the target URI. No patterns: a wide scope is a mistake."""
    not_before: datetime
    not_after: datetime
    rate: float
    """Most inputs a second."""
    spend: int
    """Most inputs in all, over every run under this scope."""
    paths: tuple[str, ...] = ("/*",)
    """Paths of the target, `*` for anything: `/v2/models/digits*`."""
    attacks: tuple[str, ...] = ("*",)
    """Catalog ids allowed: `evasion-*`."""
    hours: str = ""
    """Time of day in UTC, `08:00-18:00`; empty for any."""
    contact: str = ""
    """Whom to call when the exercise hurts."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A scope whose signature holds."""

    scope: Scope
    key: str
    """Public key it was signed with, `ed25519:` and base64."""
    digest: str
    """`sha256:` of the file, by which spending is counted."""


def sign(path: Path, key_file: Path) -> tuple[Path, str]:
    """Sign a scope file and return where the envelope lies and the public key.

    The private key is made at `key_file` (mode 0600) when there is none; keep it away from those
    who run the exercise.

    Raises:
        UsageError: The scope or the key cannot be read, or says something that cannot be.
    """
    body = _bytes(path)
    _read(body, path)
    private = _private(key_file)
    where = envelope_of(path)
    where.write_bytes(dsse.to_json(dsse.sign(body, PAYLOAD_TYPE, private)))
    return where, dsse.words(private.public_key())


def check(path: Path, trusted: tuple[str, ...]) -> Signed:
    """Read a scope and hold it to its signature.

    Args:
        path: The scope file; its envelope lies beside it.
        trusted: Public keys of those who may allow an exercise, as casemate.toml names them.

    Raises:
        UsageError: No envelope, another text than was signed, or nobody trusted has signed it.
    """
    import hashlib

    body = _bytes(path)
    scope = _read(body, path)
    if not trusted:
        raise UsageError(
            "casemate.toml names nobody who may allow an exercise",
            hint="casemate redteam --sign SCOPE prints the line to put under [redteam]",
        )
    envelope, payload = _envelope(envelope_of(path))
    if payload != body:
        raise UsageError(
            f"{path.name} is not what was signed", hint=f"casemate redteam --sign {path.name}"
        )
    try:
        _, key = dsse.verify(envelope, trusted, PAYLOAD_TYPE)
    except StoreError as error:
        raise UsageError(
            f"nobody that casemate.toml trusts has signed {path.name}",
            hint="[redteam] approvers lists their public keys",
        ) from error
    return Signed(scope=scope, key=key, digest=f"sha256:{hashlib.sha256(body).hexdigest()}")


def refuse(scope: Scope, uri: str, attack: str, now: datetime, spent: int) -> None:
    """Raise when the scope does not allow this attack on this target at this moment.

    Raises:
        UsageError: With the line of the scope that forbids it.
    """
    at = address.read(uri)
    host = at.host if re.search(r":\d+$", at.host) else f"{at.host}:{443 if at.secure else 80}"
    if host not in scope.hosts:
        raise UsageError(
            f"{host} is outside the scope '{scope.name}'",
            hint=f"it allows: {', '.join(scope.hosts)}",
        )
    plain = unquote(at.path)
    if {".", ".."} & set(re.split(r"[/\\\\]", plain)) or "//" in plain or "%2f" in at.path.lower():
        raise UsageError(f"the path {at.path} can be read in more than one way")
    if not any(fnmatch.fnmatchcase(at.path, one) for one in scope.paths):
        raise UsageError(
            f"the path {at.path} is outside the scope '{scope.name}'",
            hint=f"it allows: {', '.join(scope.paths)}",
        )
    if not any(fnmatch.fnmatchcase(attack, one) for one in scope.attacks):
        raise UsageError(
            f"the scope '{scope.name}' does not allow {attack}",
            hint=f"it allows: {', '.join(scope.attacks)}",
        )
    in_time(scope, now)
    if spent >= scope.spend:
        raise UsageError(f"the scope '{scope.name}' is spent: {spent} of {scope.spend} inputs")


def in_time(scope: Scope, now: datetime) -> None:
    """Raise when the scope does not hold at this moment.

    Raises:
        UsageError: It is too early, too late, or not the hour.
    """
    if not scope.not_before <= now < scope.not_after:
        raise UsageError(
            f"the scope '{scope.name}' holds from {scope.not_before} to {scope.not_after}",
            hint="ask its approver for another",
        )
    if scope.hours and not _within(scope.hours, now):
        raise UsageError(f"the scope '{scope.name}' allows {scope.hours} UTC only")


def envelope_of(path: Path) -> Path:
    """Return where the envelope of a scope file lies."""
    return path.with_name(f"{path.name}.dsse.json")


def _envelope(where: Path) -> tuple[bytes, bytes]:
    """Return an envelope as it lies there, and its payload."""
    try:
        text = where.read_bytes()[:_LARGEST]
        payload, kind, _ = dsse.opened(text)
    except FileNotFoundError as error:
        signed = where.name.removesuffix(".dsse.json")
        raise UsageError(
            f"there is no {where.name}: nobody has signed the scope",
            hint=f"its approver signs it: casemate redteam --sign {signed}",
        ) from error
    except (OSError, StoreError) as error:
        raise UsageError(f"{where.name} is not a DSSE envelope") from error
    if kind != PAYLOAD_TYPE:
        raise UsageError(f"{where.name} is a signature of something else")
    return text, payload


def _bytes(path: Path) -> bytes:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > _LARGEST:
        raise UsageError(f"{path.name} is too large for a scope")
    return body


def _read(body: bytes, path: Path) -> Scope:
    try:
        scope = msgspec.convert(tomllib.loads(body.decode("utf-8")), Scope)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.name} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise UsageError(f"{path.name}: {error}".replace("`", "'")) from error
    if scope.version != 1:
        raise UsageError(f"{path.name}: version {scope.version} is not known")
    times = (scope.not_before, scope.not_after)
    if any(one.tzinfo is None for one in times):
        raise UsageError(f"{path.name}: a time without its zone", hint="2026-11-21T08:00:00Z")
    if scope.hours and not _HOURS.fullmatch(scope.hours):
        raise UsageError(f"{path.name}: hours = {scope.hours!r}", hint="08:00-18:00, in UTC")
    for name in ("name", "approver"):
        if not getattr(scope, name).strip():
            raise UsageError(f"{path.name}: {name} is empty")
    if not scope.hosts:
        raise UsageError(f"{path.name}: hosts is empty: it allows nothing")
    for host in scope.hosts:
        if "*" in host or not re.fullmatch(r"[^\s/@]+:\d{1,5}", host):
            raise UsageError(f"{path.name}: hosts names '{host}'", hint="host:port, no patterns")
    if not (0 < scope.rate < float("inf")) or scope.spend < 1:
        raise UsageError(f"{path.name}: rate and spend must be above 0")
    return scope


def _within(hours: str, now: datetime) -> bool:
    found = _HOURS.fullmatch(hours)
    if found is None:
        return False
    begin = int(found[1]) * 60 + int(found[2])
    end = int(found[3]) * 60 + int(found[4])
    minute = now.astimezone(UTC).hour * 60 + now.astimezone(UTC).minute
    return begin <= minute < end if begin <= end else minute >= begin or minute < end


def _private(key_file: Path) -> Any:
    serialization, ed25519 = _cryptography()
    if not key_file.exists():
        made = ed25519.Ed25519PrivateKey.generate()
        key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        pem = made.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        with os.fdopen(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(pem)
        return made
    try:
        found = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{key_file} is not a private key") from error
    if not isinstance(found, ed25519.Ed25519PrivateKey):
        raise UsageError(f"{key_file} is not an Ed25519 key")
    return found


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise MissingExtra("guard", for_="a signed scope") from error
    return serialization, ed25519
