"""Lengths of time as people write them: `30s`, `15m`, `24h`, `7d`."""

from __future__ import annotations

import re

from casemate.errors import UsageError

_FORM = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|h|d)", re.ASCII)
LONGEST = 3650 * 86400.0
"""Seconds that a length of time may have."""
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str) -> float:
    """Return the seconds that `24h` and the like stand for.

    Raises:
        UsageError: Not a number followed by s, m, h or d; nothing at all; or above ten years.
    """
    found = _FORM.fullmatch(text.strip())
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if length > LONGEST:
        raise UsageError(f"'{text[:40]}' is too long a time", hint="3650d is the longest")
    if length <= 0:
        raise UsageError(f"not a length of time: '{text[:40]}'", hint="write 30s, 15m, 24h or 7d")
    return length
