"""The token file: who may sign in to a console that others can reach, and as what.

It holds digests alone. A token is 256 random bits, so one pass of SHA-256 is as good as any slow
hash: there is nothing to guess. A line taken out ends the sessions that were opened with it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import threading
import time
import tomllib
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec

from casemate.console.people import ROLES, Person, Role
from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PREFIX = "cmt_"
GRACE = 5.0
"""Seconds for which a file that is gone or broken lets in whom it let in before."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
_log = logging.getLogger(__name__)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role
    digest: str
    expires: date | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: list[_Line] = []


class Tokens:
    """The tokens of a file, read again when it changes."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: Where it is.
            clock: Seconds.

        Raises:
            UsageError: It cannot be read, is no token file, or others may write it.
        """
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._lines: list[_Line] = []
        self._good = 0.0
        self._shut = False
        with self._lock:
            self._refresh()

    def person(self, token: str, today: date | None = None) -> Person | None:
        """Return whose token it is, None for nobody's."""
        given = digest(token)
        found = None
        for one in self._lasting(today):
            if hmac.compare_digest(one.digest, given):
                found = one
        return None if found is None else Person(found.name, found.role, "token")

    def stands(self, person: Person) -> bool:
        """Say whether somebody who signed in with a token still has one of that role."""
        if person.way != "token":
            return True
        return any((one.name, one.role) == person[:2] for one in self._lasting(None))

    def _lasting(self, today: date | None) -> list[_Line]:
        day = today or datetime.now(UTC).date()
        with self._lock:
            try:
                self._refresh()
            except UsageError as error:
                # It may be being replaced just now.
                if self._clock() - self._good > GRACE:
                    if not self._shut:
                        _log.error("no token is let in: %s; %s", error, error.hint)
                    self._shut = True
                    return []
            else:
                if self._shut:
                    _log.warning("%s is good again: tokens are let in", self._path)
                self._shut = False
            return [one for one in self._lines if one.expires is None or day <= one.expires]

    def _refresh(self) -> None:
        try:
            seen = self._path.stat()
            # The mode by itself: a change of it leaves the time of the last writing as it was.
            if os.name == "posix" and seen.st_mode & 0o022:
                raise UsageError(
                    f"others may write {self._path}, and so let themselves in",
                    hint=f"chmod 600 {self._path}",
                )
            stamp = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)
            if stamp != self._stamp:
                self._lines = _read(self._path)
                self._stamp = stamp
            self._good = self._clock()
        except OSError as error:
            raise UsageError(
                f"{self._path} cannot be read: {error.strerror}",
                hint=f"casemate console --tokens {self._path} --new-token ann:responder",
            ) from error


def digest(token: str) -> str:
    """Return what the file holds of a token."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"


def add(path: Path, name: str, role: str, expires: date | None = None) -> str:
    """Make a token, put its digest at the end of the file, and return it: it is shown once.

    Raises:
        UsageError: Not a name, not a role, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name for a token", hint="letters, digits and . _ @ + -: ann@example"
        )
    if role not in ROLES:
        raise UsageError(f"'{role}' is no role", hint=f"one of {', '.join(ROLES)}")
    if path.exists():
        Tokens(path)  # a file that is not one is left as it is
    token = PREFIX + secrets.token_urlsafe(32)
    lines = ["[[token]]", f'name = "{name}"', f'role = "{role}"', f'digest = "{digest(token)}"']
    if expires is not None:
        lines.append(f"expires = {expires.isoformat()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n\n")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return token


def _read(path: Path) -> list[_Line]:
    try:
        lines = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File).token
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"{path} is no token file: {error}",
            hint=f"{path} holds [[token]] tables; --new-token NAME:ROLE writes one",
        ) from error
    for one in lines:
        if not _DIGEST.fullmatch(one.digest):
            raise UsageError(
                f"{path}: the digest of '{one.name}' is none",
                hint="the file holds digests; --new-token NAME:ROLE writes one",
            )
    return lines
