"""Payloads too large for a table, kept in files named by their SHA-256.

Written whole or not at all, and verified on every read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from pathlib import Path

from casemate.errors import StoreError

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class Blobs:
    """A folder of payloads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Keep `data` and return its digest; keeping the same bytes again costs no space.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = self._path(digest)
        try:
            if path.exists() and path.read_bytes() == data:
                return digest
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise StoreError(
                f"cannot keep a payload: {error.strerror}", hint=_hint(error)
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        """Return the payload with this digest.

        Raises:
            StoreError: It is not there, or its bytes no longer match.
        """
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(
                f"payload {digest} is not in the workspace",
                hint="it may have been deleted; repeat the run that made it",
            ) from error
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise StoreError(
                f"payload {digest} has changed since it was written",
                hint=f"repeat the run that made it; the altered file is {path}",
            )
        return data

    def _path(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise StoreError(f"not a digest: {digest!r}", hint="sha256: and 64 hex digits")
        return self._folder / match[1][:2] / match[1]


def _hint(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space and run the same command again; what was kept stays"
    return "the workspace folder must be writable"
