"""Paths in a bundle that every file system takes, whatever an item is called.

What is not plain in a name is written `=` and two hex digits; the true name stands in the list of
items. `%` is not used: BagIt gives it a meaning of its own.
"""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(rb"[A-Za-z0-9._@+,-]")
_WORDS = r"(con|prn|aux|nul|com[0-9]|lpt[0-9])"
_RESERVED = re.compile(rf"{_WORDS}(\..*)?", re.IGNORECASE)
_AS_IT_IS = re.compile(
    rf"(?:(?!{_WORDS}(?:[./]|$))(?:[A-Za-z0-9_@+,-]|\.(?!\.*(?:/|$))){{1,100}}(?:/(?=.)|$))+",
    re.IGNORECASE,
)
"""Names that need no change in any part, told at one glance."""
_LONGEST_PART, _LONGEST = 100, 180


class Paths:
    """Gives each item a path of its own, also where case does not count."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, name: str, folder: str = "data") -> str:
        """Return the path of an item: relative, with `/`, plain ASCII."""
        if _AS_IT_IS.fullmatch(name):
            path = f"{folder}/{name}"
        else:
            path = f"{folder}/{'/'.join(_part(one) for one in name.split('/'))}"
        again = 0
        while len(path) > _LONGEST or self._is_in_the_way(path):
            flat = path[len(folder) + 1 :].replace("/", "=2F")[: _LONGEST - 40].rstrip(".=")
            path = f"{folder}/{flat}={_short(f'{again}{name}')}"
            again += 1
        self._taken.add(path.lower())
        above = path.lower().rpartition("/")[0]
        while above and f"{above}/" not in self._taken:
            self._taken.add(f"{above}/")
            above = above.rpartition("/")[0]
        return path

    def _is_in_the_way(self, path: str) -> bool:
        """Return whether there is a file of that path, a folder of it, or a file above it."""
        path = path.lower()
        if path in self._taken or f"{path}/" in self._taken:
            return True
        above = path.rpartition("/")[0]
        while above and f"{above}/" not in self._taken:
            if above in self._taken:
                return True
            above = above.rpartition("/")[0]
        return False


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
