"""The guard's secret: one site key, and one key for each purpose derived from it.

There is no default key. Fingerprints, digests and challenges are worth nothing to whoever reads
the record only as long as this key stays with the guard, so it never lies in the workspace.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VARIABLE = "CASEMATE_GUARD_KEY"
_LEAST = 16
_MOST = 4096
_DISTINCT = 8
_HINT = (
    f"put 32 random bytes as hex into {VARIABLE}: "
    "python -c 'import secrets; print(secrets.token_hex(32))'"
)


class Keys:
    """The site key and what is derived from it; never printed."""

    def __init__(self, site: bytes) -> None:
        """Hold a site key.

        Raises:
            UsageError: It is too short, or so regular that it was never random.
        """
        if len(site) < _LEAST or len(site) > _MOST:
            raise UsageError(f"a guard key of {len(site)} bytes; {_LEAST} is the least", hint=_HINT)
        if len(set(site)) < _DISTINCT:
            raise UsageError("a guard key that is not random", hint=_HINT)
        self._site = hashlib.blake2b(site, person=b"casemate-site").digest()

    def __repr__(self) -> str:
        return "Keys(...)"

    def derive(self, purpose: str, length: int = 32) -> bytes:
        """Return the key of one purpose, up to 64 bytes; another purpose has an unrelated key."""
        return hashlib.blake2b(
            purpose.encode(), key=self._site, digest_size=length, person=b"casemate-derive"
        ).digest()


def read(environ: Mapping[str, str], file: Path, *, workspace: Path) -> Keys:
    """Return the keys from the environment or else from a file, which is made when missing.

    Args:
        environ: Where `CASEMATE_GUARD_KEY` may stand.
        file: Holds the key as hex or text, readable by its owner alone.
        workspace: Folder the key must not lie in, as whoever reads the record would have both.

    Raises:
        UsageError: A weak key, a file that others may read, or one inside the workspace.
    """
    given = environ.get(VARIABLE, "").strip()
    if given:
        return Keys(_bytes(given))
    where = file.resolve()
    if where.is_relative_to(workspace.resolve()):
        raise UsageError(f"the guard's key {file} lies inside the workspace", hint=_HINT)
    try:
        where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return Keys(_bytes(_kept(where)))
    except OSError as error:
        raise UsageError(f"the guard's key {file} cannot be made: {error}", hint=_HINT) from error
    with os.fdopen(made, "w", encoding="ascii") as out:
        out.write(secrets.token_hex(32) + "\n")
        out.flush()
        os.fsync(out.fileno())
    return Keys(_bytes(_kept(where)))


def _kept(file: Path) -> str:
    try:
        mode = file.stat().st_mode
        if mode & 0o077:
            raise UsageError(
                f"others than its owner may read the guard's key {file}",
                hint=f"chmod 600 {file}, and a new key if they did",
            )
        with file.open(encoding="utf-8") as source:
            return source.read(_MOST + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the guard's key {file} cannot be read: {error}", hint=_HINT) from error


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return text.encode()
