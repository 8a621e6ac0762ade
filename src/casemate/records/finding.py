"""Finding: something is wrong with a target."""

from __future__ import annotations

import msgspec

from casemate.records.evidence import Evidence
from casemate.records.location import Location
from casemate.records.severity import Confidence, Severity
from casemate.records.target import Target


class Finding(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="finding/1",
    forbid_unknown_fields=True,
):
    """A weakness seen by a scanner rule or shown by an attack; read by gate, report and case."""

    rule: str
    """Catalog id of the rule or the attack."""
    target: Target
    severity: Severity
    confidence: Confidence
    message: str
    """One sentence for a person, with the particulars."""
    remedy: str
    """What to do about it, one or two sentences."""
    fingerprint: str
    """`fp-` and 32 hex digits; see `casemate.records.fingerprint`."""
    subject: str
    """The rule's own subject, part of the fingerprint: the imported name, the attack and norm."""
    location: Location | None = None
    evidence: tuple[Evidence, ...] = ()
    trial: str | None = None
    """Id of the Trial that shows it, for findings of an attack."""
