"""Words of a page: text from outside made printable and short, times and names as people read them.

Principals, sessions and model names come from callers. What could break a line, reorder the screen,
start a tag, a mention or a link is replaced by a visible escape, and what is long is cut with its
length and digest, so that it can still be found.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import UTC, datetime

_MARKUP = re.compile(
    r"<(?=[^\s\d=])"  # a tag, or a mention of a chat: <b>, <!channel>
    r"|&(?=#?\w+;)"  # an entity
    r"|\](?=\()"  # a Markdown link
    r"|:(?=//)"  # an address, which would be made a link
    r"|(?<!\w)@(?=\w)"  # @everyone; ana@example.org stays
    r"|[`*]"
)
_LOOK = 4
"""Characters looked at for each that is kept; the rest of a megabyte is not worth reading."""


def printable(text: str) -> str:
    """Return `text` on one line, with what is not printable or is markup shown by its code."""
    parts = []
    stacked = 0
    for char in text:
        mark = unicodedata.category(char) in ("Mn", "Me")
        stacked = stacked + 1 if mark else 0
        # More than two marks on one letter climb over the lines above and below.
        parts.append(char if char.isprintable() and stacked <= 2 else _escape(char))
    return _MARKUP.sub(lambda found: _escape(found[0]), "".join(parts))


def short(text: str, limit: int) -> str:
    """Return `text` printable and in at most `limit` characters, cut at the end."""
    line = printable(" ".join(text[: limit * _LOOK].split()))
    return line if len(line) <= limit and len(text) <= limit * _LOOK else line[: limit - 1] + "…"


def name(text: str, limit: int = 64) -> str:
    """Return a name from outside in quotes; one that is cut carries its length and digest."""
    if not text:
        return "somebody who gave no name"
    line = printable(text[: limit * _LOOK])
    if len(line) <= limit and len(text) <= limit * _LOOK:
        return f'"{line}"'
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f'"{line[:limit]}…" ({len(text):,} characters, sha256 {digest[:12]})'


def names(texts: tuple[str, ...], show: int = 4) -> str:
    """Return the first names and how many more there are."""
    if not texts:
        return "unknown"
    shown = ", ".join(name(one) for one in texts[:show])
    more = len(texts) - show
    return f"{shown} and {more:,} more" if more > 0 else shown


def moment(micros: int) -> str:
    """Return a time as `2026-11-21 03:12:05 UTC`."""
    try:
        when = datetime.fromtimestamp(micros // 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return "a time that cannot be"
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(micros: int) -> str:
    """Return how long before the page something was."""
    seconds = max(micros, 0) // 1_000_000
    if seconds < 120:
        return f"{seconds} s before this page"
    if seconds < 7200:
        return f"{seconds // 60} min before this page"
    if seconds < 172_800:
        return f"{seconds // 3600} h before this page"
    return f"{seconds // 86_400} days before this page"


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
