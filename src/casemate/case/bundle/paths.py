"""Paths in a bundle that every file system takes, whatever an item is called.

What is not plain in a name is written `=` and two hex digits; the true name stands in the list of
items. `%` is not used: BagIt gives it a meaning of its own.
"""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(rb"[A-Za-z0-9._@+,-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LONGEST_PART, _LONGEST = 100, 180


class Paths:
    """Gives each item a path of its own, also where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str, folder: str = "data") -> str:
        """Return the path of an item: relative, with `/`, plain ASCII."""
        path = f"{folder}/{'/'.join(_part(one) for one in name.split('/'))}"
        if len(path) > _LONGEST or _lower(path) in self._taken or self._is_below(path):
            path = f"{path[: _LONGEST - 20].rstrip('./=')}={_short(name)}"
            path = f"{folder}/" + path[len(folder) + 1 :].replace("/", "=2F")
        self._taken.add(_lower(path))
        parts = path.split("/")
        self._taken.update(_lower("/".join(parts[:end])) + "/" for end in range(1, len(parts)))
        return path

    def _is_below(self, path: str) -> bool:
        """Return whether a file would stand where a folder does, or the other way round."""
        parts = _lower(path).split("/")
        above = ("/".join(parts[:end]) for end in range(1, len(parts)))
        return f"{_lower(path)}/" in self._taken or any(one in self._taken for one in above)


def _part(part: str) -> str:
    raw = part.encode("utf-8", "surrogatepass")
    text = "".join(chr(one) if _PLAIN.match(bytes([one])) else f"={one:02X}" for one in raw)
    if not text.strip("."):
        text = text.replace(".", "=2E") or "="
    if text[-1] == ".":
        text = f"{text[:-1]}=2E"
    if _RESERVED.fullmatch(text):
        text = f"={ord(text[0]):02X}{text[1:]}"
    if len(text) > _LONGEST_PART:
        text = f"{text[: _LONGEST_PART - 18].rstrip('.')}={_short(part)}"
    return text


def _short(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _lower(path: str) -> str:
    return path.lower()
