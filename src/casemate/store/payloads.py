"""Vault: captured payloads, encrypted under a key of each subject's own, that can be destroyed.

Off unless `[guard.capture]` says so. The record holds only a payload's digest, so that destroying a
subject's key erases all payloads of that subject, in every copy of the files, and leaves the
record whole. The key that wraps the others is derived from the guard's and never lies here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import shutil
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import MissingExtra, StoreError, UsageError
from casemate.store.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

_MAGIC = b"CMPAYLD1"
_NONCE = 12
_DIGEST = re.compile(r"[0-9a-f]{32,64}", re.ASCII)
_RESERVE = 512 * 1024 * 1024
_KEY = "key"


class Kept(NamedTuple):
    """A payload as it was kept."""

    content_type: str
    body: bytes
    at: int
    """Microseconds since the epoch."""
    redacted: bool
    """Whether anything may have been taken out."""


class _Head(msgspec.Struct, frozen=True, array_like=True):
    content_type: str
    at: int
    redacted: bool


class Vault:
    """The payloads of one workspace; used by several processes at once."""

    def __init__(
        self,
        folder: Path,
        key: bytes,
        *,
        redact: Collection[str] = (),
        days: int = 30,
        reserve: int = _RESERVE,
    ) -> None:
        """Use a folder, which is made when needed.

        Args:
            folder: Where payloads lie.
            key: 32 bytes, `Keys.derive("payloads")`.
            redact: Names that are never kept.
            days: Whole days a payload is kept beyond its own.
            reserve: Bytes the disk must have left, as the record needs them more.

        Raises:
            UsageError: Not such a key, or no time at all.
            MissingExtra: cryptography is not installed.
        """
        if len(key) != 32:
            raise UsageError(f"the vault's key has {len(key)} bytes instead of 32")
        if days < 1:
            raise UsageError("payloads are kept for at least one day", hint='or keep = "nothing"')
        self._folder = folder
        self._names = hashlib.blake2b(b"names", key=key, digest_size=32).digest()
        self._wrap = _cipher(hashlib.blake2b(b"wrap", key=key, digest_size=32).digest())
        self._redact = tuple(redact)
        self._days = days
        self._reserve = reserve

    def keep(
        self,
        digest: str,
        principal: str,
        content_type: str,
        body: bytes,
        *,
        at: int,
        columns: Sequence[str] = (),
    ) -> bool:
        """Keep a payload and say whether it was; not when what must be redacted cannot be found.

        Args:
            digest: What events call it by, hex.
            principal: Whose it is.
            content_type: Of the body.
            body: Not compressed.
            at: Microseconds since the epoch.
            columns: Names of columns that the body gives by position.

        Raises:
            StoreError: The disk is full, or nearly, or cannot be written.
        """
        shown = redact(body, content_type, self._redact, columns)
        if shown is None:
            return False
        subject = self._subject(principal)
        path = self._folder / subject / _day(at).isoformat() / _checked(digest)
        try:
            if path.exists():
                return True
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if shutil.disk_usage(path.parent).free < self._reserve + len(shown):
                raise OSError(errno.ENOSPC, "the disk is almost full")
            head = msgspec.json.encode(_Head(content_type[:200], at, bool(self._redact)))
            plain = len(head).to_bytes(4, "big") + head + shown
            nonce = secrets.token_bytes(_NONCE)
            cipher = _cipher(self._key(subject, make=True))
            sealed = cipher.encrypt(nonce, plain, _about(subject, digest))
            _write(path, _MAGIC + nonce + sealed)
        except OSError as error:
            raise StoreError(
                f"a payload cannot be kept: {error.strerror}",
                hint='free some space, or set keep = "nothing" in [guard.capture]',
            ) from error
        return True

    def get(self, digest: str, principal: str) -> Kept:
        """Return a payload.

        Raises:
            StoreError: It was never kept, has expired, was erased, or is damaged.
        """
        subject = self._subject(principal)
        paths = sorted((self._folder / subject).glob(f"*/{_checked(digest)}"))
        if not paths:
            raise StoreError(
                f"payload {digest} is not here",
                hint="it was not kept, its time has run out, or its subject was erased",
            )
        data = paths[-1].read_bytes()
        plain = self._opened(data, subject, digest)
        length = int.from_bytes(plain[:4], "big")
        head = msgspec.json.decode(plain[4 : 4 + length], type=_Head)
        return Kept(head.content_type, plain[4 + length :], head.at, head.redacted)

    def erase(self, principal: str) -> int:
        """Destroy the subject's key, then all payloads; return how many there were.

        With the key gone copies of the files elsewhere are unreadable too, unless the key file was
        copied as well. Events stay, and so does the log over them.

        Raises:
            StoreError: Something cannot be removed.
        """
        folder = self._folder / self._subject(principal)
        try:
            _shred(folder / _KEY)
            gone = sum(1 for path in folder.glob("*/*") if path.is_file())
            if folder.exists():
                shutil.rmtree(folder)
                _sync(folder.parent)
        except OSError as error:
            raise StoreError(f"a subject cannot be erased: {error.strerror}") from error
        return gone

    def expire(self, now: int, held: int | None = None) -> int:
        """Destroy payloads whose days are over and keys that open nothing; return how many.

        Args:
            now: Microseconds since the epoch.
            held: What came since then is kept whatever its age, as a case needs it.

        Raises:
            StoreError: Something cannot be removed.
        """
        last = _day(now) - timedelta(days=self._days)
        if held is not None:
            last = min(last, _day(held))
        gone = 0
        try:
            for day in self._days_kept():
                if date.fromisoformat(day.name) < last:
                    gone += sum(1 for path in day.iterdir())
                    shutil.rmtree(day)
                    with contextlib.suppress(OSError):  # others are still in it
                        if [one.name for one in day.parent.iterdir()] == [_KEY]:
                            _shred(day.parent / _KEY)
                            day.parent.rmdir()
        except OSError as error:
            raise StoreError(f"payloads cannot be removed: {error.strerror}") from error
        return gone

    def _days_kept(self) -> Iterator[Path]:
        for path in list(self._folder.glob("*/*/????-??-??")):
            with contextlib.suppress(ValueError):
                date.fromisoformat(path.name)
                yield path

    def _opened(self, data: bytes, subject: str, digest: str) -> bytes:
        from cryptography.exceptions import InvalidTag

        start = len(_MAGIC)
        try:
            if not data.startswith(_MAGIC):
                raise InvalidTag
            cipher = _cipher(self._key(subject, make=False))
            nonce = data[start : start + _NONCE]
            return bytes(cipher.decrypt(nonce, data[start + _NONCE :], _about(subject, digest)))
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                f"payload {digest} cannot be read: it was changed, or kept under another key",
                hint="the guard's key must be the one it was kept with",
            ) from error
        except OSError as error:
            raise StoreError(f"payload {digest}: the key of its subject is gone") from error

    def _key(self, subject: str, *, make: bool) -> bytes:
        """Return the subject's key; two processes that make it at once agree on one."""
        path = self._folder / subject / _KEY
        if make and not path.exists():
            nonce = secrets.token_bytes(_NONCE)
            sealed = self._wrap.encrypt(nonce, secrets.token_bytes(32), subject.encode())
            fresh = path.with_name(f".{secrets.token_hex(8)}")
            _write(fresh, nonce + sealed)
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
            fresh.unlink()
            _sync(path.parent)
        data = path.read_bytes()
        from cryptography.exceptions import InvalidTag

        try:
            return bytes(self._wrap.decrypt(data[:_NONCE], data[_NONCE:], subject.encode()))
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                f"the key of a subject was changed, or made under another key: {path.name}",
                hint="the guard's key must be the one it was kept with",
            ) from error

    def _subject(self, principal: str) -> str:
        """Return the folder of a subject, which does not say who it is."""
        name = principal.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, key=self._names, digest_size=20).hexdigest()
        return f"{digest[:2]}/{digest[2:]}"


def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingExtra("guard", for_="keeping payloads") from error
    return AESGCM(key)


def _about(subject: str, digest: str) -> bytes:
    return f"{subject}\0{digest}".encode()


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise StoreError(f"not the digest of a payload: {digest[:80]!r}")
    return digest


def _day(micros: int) -> date:
    return datetime.fromtimestamp(micros // 1_000_000, UTC).date()


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _shred(path: Path) -> None:
    """Overwrite and remove a key, so that it does not lie in a free block of the disk."""
    with contextlib.suppress(FileNotFoundError):
        size = path.stat().st_size
        with path.open("r+b") as out:
            out.write(secrets.token_bytes(size))
            out.flush()
            os.fsync(out.fileno())
        path.unlink()
        _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
