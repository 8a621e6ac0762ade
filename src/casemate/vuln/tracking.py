"""Tracking: which weaknesses are one and the same, and how a weakness may change its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from casemate.records.vulnerability import Vulnerability, VulnerabilityState

NEXT: dict[VulnerabilityState, tuple[VulnerabilityState, ...]] = {
    "reported": ("confirmed", "rejected", "duplicate"),
    "confirmed": ("mitigated", "fixed", "rejected", "duplicate"),
    "mitigated": ("fixed", "confirmed", "rejected", "duplicate"),
    "fixed": ("confirmed",),
    "rejected": ("reported",),
    "duplicate": ("reported",),
}
"""What may follow each state. A fixed weakness that shows again is confirmed again."""
CLOSED = ("fixed", "rejected", "duplicate")


def same(wanted: Vulnerability, known: Iterable[Vulnerability]) -> Vulnerability | None:
    """Return the weakness already tracked that `wanted` is: its type, access and one model of it.

    Models are the same by name, or by a digest both have. Rejected ones and duplicates are not
    looked at; fixed ones are, as a fixed weakness may come back.
    """
    for one in known:
        if one.id == wanted.id or one.state in ("rejected", "duplicate"):
            continue
        if (
            one.threat == wanted.threat
            and one.facts.access == wanted.facts.access
            and _shared(one, wanted)
        ):
            return one
    return None


def moved(
    one: Vulnerability,
    state: VulnerabilityState,
    *,
    by: str,
    why: str,
    at: datetime,
    duplicate_of: str | None = None,
) -> Vulnerability:
    """Return a weakness in another state, with a note of who moved it and why.

    Raises:
        UsageError: The state cannot follow, nobody says why, or a duplicate of nothing.
    """
    if state not in NEXT[one.state]:
        raise UsageError(
            f"{one.id} is {one.state} and cannot become {state}",
            hint=f"it can become {', '.join(NEXT[one.state])}",
        )
    if not why.strip():
        raise UsageError("a change of state needs a reason", hint="--why 'what was seen'")
    if (state == "duplicate") != (duplicate_of is not None) or duplicate_of == one.id:
        raise UsageError("a duplicate is one of another", hint="--state duplicate --of cmv-...")
    text = f"{one.state} -> {state}: {why.strip()}"
    return noted(
        msgspec.structs.replace(one, state=state, duplicate_of=duplicate_of), text, by=by, at=at
    )


def noted(one: Vulnerability, text: str, *, by: str, at: datetime) -> Vulnerability:
    """Return a weakness with one more line of its history."""
    line = f"{at:%Y-%m-%d %H:%M} {by}: {text}"
    return msgspec.structs.replace(one, changed=at, notes=(*one.notes, line))


def _shared(one: Vulnerability, other: Vulnerability) -> bool:
    names = {it.name for it in one.affected} & {it.name for it in other.affected}
    digests = {d for it in one.affected for d in it.digests} & {
        d for it in other.affected for d in it.digests
    }
    return bool(names or digests)
