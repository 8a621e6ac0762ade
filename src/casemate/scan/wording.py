"""From something a reader saw to a Finding, by the rule that has a name for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.catalog.entries import Rule
from casemate.catalog.loader import entry
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.fingerprint import fingerprint
from casemate.records.location import Location
from casemate.records.make import make

if TYPE_CHECKING:
    from casemate.records.target import Target

SUBJECT = 300
"""Characters of a subject that are kept: names inside hostile files can be of any length."""
MESSAGE = 1000


def finding(
    rule: str,
    target: Target,
    subject: str,
    message: str,
    *,
    member: str | None = None,
    offset: int | None = None,
) -> Finding:
    """Build the finding for a rule of the catalog.

    Args:
        rule: Catalog id.
        target: The file.
        subject: What exactly the rule saw.
        message: One sentence with the particulars.
        member: Archive member it is in.
        offset: Byte offset in the member, or in the file.
    """
    known = entry("rules", rule, Rule)
    subject, message = printable(subject)[:SUBJECT], printable(message)[:MESSAGE]
    member = printable(member)[:MESSAGE] if member is not None else None
    where = make(Location, path=target.uri, member=member, offset=offset)
    return make(
        Finding,
        rule=rule,
        target=target,
        severity=known.severity,
        confidence=known.confidence,
        message=message,
        remedy=known.remedy,
        fingerprint=fingerprint(rule, target.uri, member, subject),
        subject=subject,
        location=where,
        evidence=(make(Evidence, by=rule, how=known.how.split(".")[0][:200], location=where),),
    )


def printable(text: str) -> str:
    """Return text a terminal and a JSON encoder can show: control characters become escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode("ascii")
        for char in text
    )
