"""Digests of files and folders, by which content is known again."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def of_file(path: Path) -> str | None:
    """Return `sha256:` and the digest of a file's bytes; None where it cannot be read."""
    try:
        with path.open("rb") as data:
            return f"sha256:{hashlib.file_digest(data, 'sha256').hexdigest()}"
    except (OSError, ValueError):
        return None


def of_text(text: str) -> str:
    """Return the digest of a text as UTF-8."""
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()}"


def of_list(parts: Iterable[tuple[str, str]]) -> str:
    """Return the digest of a list of (name, digest), whatever their order."""
    return of_text("".join(f"{digest}  {name}\n" for name, digest in sorted(parts)))
