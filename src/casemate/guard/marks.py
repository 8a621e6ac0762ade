"""Marks of red-team traffic: a guard believes them only from who holds the site key.

Marked traffic is judged like any other, but never wakes anybody up; a mark that anybody could set
would be the attacker's best friend.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.guard.keys import Keys

HEADER = "casemate-redteam"
"""Lower-case name of the header; removed before the upstream sees the request."""
_FORM = re.compile(r"(run-[0-9a-z]{26})\.(\d{1,16})\.([0-9a-f]{64})")


def make_mark(keys: Keys, run: str, expires: int) -> str:
    """Return the header's value for one run, good until `expires` (in microseconds)."""
    return f"{run}.{expires}.{_code(keys, run, expires)}"


def read_mark(keys: Keys, value: str, now: int) -> str | None:
    """Return the id of the run a mark stands for, None when it is forged, stale or no mark."""
    found = _FORM.fullmatch(value)
    if found is None:
        return None
    run, expires = found[1], int(found[2])
    if now >= expires or not hmac.compare_digest(found[3], _code(keys, run, expires)):
        return None
    return run


def _code(keys: Keys, run: str, expires: int) -> str:
    return hmac.digest(keys.derive("marks"), f"{run}.{expires}".encode(), "sha256").hex()
