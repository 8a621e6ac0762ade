"""Callers: whose names stand behind a weakness or a case, for what must not tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import UsageError
from casemate.export import callers
from casemate.store.cases import CaseBook
from casemate.workflows import sources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.records.incident import Incident
    from casemate.records.vulnerability import Vulnerability
    from casemate.store.workspace import Workspace


def of_case(workspace: Workspace, case: Incident) -> tuple[str, ...]:
    """Return who took part in a case: its suspects, then those of the detections behind it."""
    seen = _of_detections(workspace, case.sources)
    return tuple(dict.fromkeys((*callers.of_incident(case), *seen)))


def of_weakness(workspace: Workspace, record: Vulnerability) -> tuple[str, ...]:
    """Return who took part in what shows a weakness, as far as it is on record."""
    names: list[str] = []
    for case in CaseBook(workspace).all():
        if case.id in record.proof or record.id in case.vulnerabilities:
            names += of_case(workspace, case)
    return tuple(dict.fromkeys((*names, *_of_detections(workspace, record.proof))))


def weakness_without(workspace: Workspace, record: Vulnerability) -> Vulnerability:
    """Return a weakness whose words name nobody who took part."""
    return callers.weakness_without(record, of_weakness(workspace, record))


def _of_detections(workspace: Workspace, ids: Iterable[str]) -> list[str]:
    found: list[str] = []
    for ident in ids:
        if not ident.startswith(("det-", "cam-")):
            continue
        try:
            seen = sources.find(workspace, [ident])
        except UsageError:
            continue  # it is kept elsewhere, and the case's own suspects stand
        found += [name for one in seen.detections for name in one.principals]
    return found
