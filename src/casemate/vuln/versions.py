"""Versions of Python packages in their order, and whether one lies in the ranges of an advisory.

Source: PEP 440 (its appendix B for the form), and the OSV schema's algorithm for ranges. Local
parts (`+cpu`) are left out: an advisory speaks of what was published.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Key = tuple[int, tuple[int, ...], tuple[int, str, int], tuple[int, int], tuple[int, int]]

_LONGEST = 200
_FORM = re.compile(
    r"""v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?P<pre>[-_.]?(?P<pre_l>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>[0-9]+)?)?
    (?P<post>-(?P<post_n1>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<post_n2>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_n>[0-9]+)?)?
    (?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_LETTERS = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}


class Event(NamedTuple):
    """One end of a range of an advisory."""

    kind: str
    """`introduced`, `fixed` or `last_affected`."""
    version: str


def key(version: str) -> Key | None:
    """Return what versions are compared by, None for what is no version by PEP 440."""
    found = _FORM.fullmatch(version.strip()) if len(version) <= _LONGEST else None
    if found is None:
        return None
    numbers = [int(part) for part in found["release"].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    letter = (found["pre_l"] or "").lower()
    if found["pre"]:
        pre = (1, _LETTERS.get(letter, letter), int(found["pre_n"] or 0))
    else:
        early = found["dev"] and not found["post"]
        pre = (0 if early else 2, "", 0)
    post = (1, int(found["post_n1"] or found["post_n2"] or 0)) if found["post"] else (0, 0)
    dev = (0, int(found["dev_n"] or 0)) if found["dev"] else (1, 0)
    return (int(found["epoch"] or 0), tuple(numbers), pre, post, dev)


def affected(version: str, ranges: Sequence[Sequence[Event]]) -> bool | None:
    """Say whether a version lies in one of the ranges; None when it cannot be compared.

    Args:
        version: As installed.
        ranges: Events of each range, in any order; `introduced 0` is before every version.
    """
    mine = key(version)
    if mine is None:
        return None
    for events in ranges:
        placed = []
        for one in events:
            where = None if one.version == "0" else key(one.version)
            if where is None and one.version != "0":
                return None
            placed.append((where, one.kind))
        if _within(mine, placed):
            return True
    return False


def repair(version: str, ranges: Sequence[Sequence[Event]]) -> str | None:
    """Return the first version after `version` that has the repair, None where none is known."""
    mine = key(version)
    fixed = [
        (where, one.version)
        for events in ranges
        for one in events
        if one.kind == "fixed" and (where := key(one.version)) is not None
    ]
    later = [one for one in sorted(fixed) if mine is None or one[0] > mine]
    return later[0][1] if later else None


def _within(mine: Key, placed: list[tuple[Key | None, str]]) -> bool:
    inside = False
    # An end at the same version as a beginning comes after it, as the schema sorts them.
    for where, kind in sorted(placed, key=lambda one: (one[0] is not None, one[0] or ())):
        if kind == "introduced" and (where is None or mine >= where):
            inside = True
        elif (kind == "fixed" and where is not None and mine >= where) or (
            kind == "last_affected" and where is not None and mine > where
        ):
            inside = False
    return inside
