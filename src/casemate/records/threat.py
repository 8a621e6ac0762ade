"""Threat: one way this System can be attacked."""

from __future__ import annotations

import msgspec

from casemate.records.severity import Severity


class Threat(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="threat/1",
    forbid_unknown_fields=True,
):
    """A catalog attack that applies to a component; made by threats, read by assess and report."""

    attack: str
    """Catalog id."""
    component: str
    why: str
    """Why it applies here, in one sentence."""
    severity: Severity
    covered_by: tuple[str, ...] = ()
    """Ids of the trials that tried it; empty means not checked."""
    mitigations: tuple[str, ...] = ()
    """Catalog ids."""
