"""The coverage table: what the defending side saw of each attack on a live endpoint, in words.

One row per attack that redteam carried out; every format shows the same cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casemate.export.wording import number, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.records.trial import Seen, Trial

HEAD = (
    "attack",
    "in the log",
    "detected",
    "by what",
    "first at query",
    "after",
    "success before",
    "success after",
    "answered by",
    "users harmed",
)
"""Names of the columns."""


class Sighting(NamedTuple):
    """One row of the table."""

    attack: str
    logged: str
    detected: str
    by: str
    query: str
    after: str
    before: str
    mitigated: str
    answered: str
    harmed: str
    tone: str
    """`pass`, `unsure` or `stop`: whether the defence saw what did harm."""


def sightings(trials: Iterable[Trial]) -> list[Sighting]:
    """Return the rows, what went unseen first."""
    order = ("stop", "unsure", "pass")
    rows = [_row(one.attack, one.seen) for one in trials if one.seen is not None]
    return sorted(rows, key=lambda row: order.index(row.tone))


def _row(attack: str, seen: Seen) -> Sighting:
    whole = seen.logged is not None and seen.logged >= seen.sent
    if seen.logged is None:
        logged = "not known"
    else:
        logged = f"all {seen.sent:,}" if whole else f"{seen.logged:,} of {seen.sent:,}"
    detected = "no"
    if seen.detected_by:
        detected = "yes, pages" if seen.pages else "yes, on record"
        if seen.paging_query is not None:
            detected += f" at query {seen.paging_query:,}"
    harmless = not seen.success
    tone = "pass" if whole and (seen.detected_by or harmless) else "stop"
    if seen.logged is None and seen.detected_by:
        tone = "unsure"
    return Sighting(
        attack=attack,
        logged=logged,
        detected=detected if seen.detected_by or not harmless else "no, and it did no harm",
        by=", ".join(seen.detected_by) or "–",
        query=number(seen.first_query),
        after="–" if seen.first_seconds is None else seconds(seen.first_seconds),
        before=percent(seen.success),
        mitigated="not tried" if seen.success_after is None else percent(seen.success_after),
        answered=", ".join(seen.answered_by) or "–",
        harmed=_harmed(seen),
        tone=tone,
    )


def _harmed(seen: Seen) -> str:
    if not seen.benign:
        return "no users sent"
    harmed = "" if seen.benign_harmed is None else f"{seen.benign_harmed:,} harmed, "
    accused = f"{seen.benign_accused:,} accused" if seen.benign_accused else "none accused"
    return f"{harmed}{accused} ({seen.benign:,} requests)"
