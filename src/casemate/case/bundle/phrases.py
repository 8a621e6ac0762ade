"""Phrases: many texts looked for at once, whatever their case, each with what stands for it.

A short one counts only as a word of its own, as does a number; a very short one or a very long one
does not count: what has it as a field is replaced there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LONG, _SHORT, _LONGEST = 6, 3, 300
_NUMBER = re.compile(r"[\d.,+-]+")


class Phrases:
    """Texts and what stands for them."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._pattern: re.Pattern[str] | None = None

    def add(self, text: str, instead: str) -> None:
        """Look for a text; the first meaning of it counts."""
        for one in (text, text.lower()):
            self._known.setdefault(one, instead)
        self._pattern = None

    def known(self, text: str) -> str | None:
        """Return what stands for a text."""
        return self._known.get(text) or self._known.get(text.lower())

    def replace(self, text: str) -> str:
        """Return text with every phrase replaced, the longest first."""
        if self._pattern is None:
            try:
                self._pattern = self._compiled(_shared)
            except RecursionError:  # texts that are beginnings of one another, a hundred deep
                self._pattern = self._compiled(_plain)
        return self._pattern.sub(self._instead, text)

    def _instead(self, found: re.Match[str]) -> str:
        return self.known(found[0]) or "redacted"

    def _compiled(self, any_of: Callable[[Iterable[str]], str]) -> re.Pattern[str]:
        words = [one for one in self._known if _SHORT <= len(one) <= _LONGEST]
        inside = [one for one in words if len(one) >= _LONG and not _NUMBER.fullmatch(one)]
        alone = set(words) - set(inside)
        parts = [any_of(inside)] if inside else []
        if alone:
            parts.append(rf"(?<![\w.]){any_of(sorted(alone))}(?!\w)")
        return re.compile("|".join(parts) or "(?!)", re.IGNORECASE)


def _plain(texts: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(texts, key=len, reverse=True)))})"


def _shared(texts: Iterable[str]) -> str:
    """Return a pattern for any of the texts in which what they begin with stands once."""
    tree: dict[str, Any] = {}
    for text in texts:
        at = tree
        for character in text:
            at = at.setdefault(character, {})
        at[""] = {}
    return _branch(tree)


def _branch(tree: dict[str, Any]) -> str:
    head = ""
    while len(tree) == 1:
        ((character, below),) = tree.items()
        if not character:
            return head
        head += re.escape(character)
        tree = below
    ways = [re.escape(one) + _branch(below) for one, below in tree.items() if one]
    return f"{head}(?:{'|'.join(ways)}){'?' if '' in tree else ''}"
