"""A case as Incident Finding 2005 of the Open Cybersecurity Schema Framework.

Source: https://schema.ocsf.io, 1.8.0 and the sources of 1.9.0-dev. The profile `incident` is part
of the class. What the schema has no place for stands under `unmapped`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.catalog import loader
from casemate.catalog.entries import ThreatKind
from casemate.export import ocsf

if TYPE_CHECKING:
    from datetime import datetime

    from casemate.export.ocsf import Json
    from casemate.records.incident import Incident, Triage

_STATUS = {"open": (1, "New"), "contained": (2, "In Progress"), "closed": (5, "Closed")}
_VERDICTS = {
    "attack": (2, "True Positive"),
    "probe": (4, "Suspicious"),
    "drift": (3, "Disregard"),
    "outage": (3, "Disregard"),
    "benign": (5, "Benign"),
    "cannot-tell": (7, "Insufficient Data"),
}
_MOST = 64


def incident(record: Incident, *, principals: bool = True) -> Json:
    """Return a case as an OCSF object; `principals`: whether to name who took part."""
    activity, done = (3, "Close") if record.state == "closed" else (2, "Update")
    if record.version == 0:
        activity, done = 1, "Create"
    opened = _ms(record.opened)
    body = ocsf.head(2005, "Incident Finding", 2, "Findings", activity, done, opened * 1000)
    triage = record.triage
    status_id, status = _STATUS[record.state]
    if record.state == "open" and record.owner:
        status_id, status = 2, "In Progress"
    severity_id, severity = ocsf.SEVERITIES[record.severity]
    verdict_id, verdict = _VERDICTS[triage.assessment] if triage else (0, "Unknown")
    body |= {
        "severity_id": severity_id,
        "severity": severity,
        "status_id": status_id,
        "status": status,
        "verdict_id": verdict_id,
        "verdict": verdict,
        "desc": ocsf.text(record.title, 4000),
        "message": ocsf.text(record.title, 1000),
        "assignee": ocsf.user(record.owner or "nobody yet"),
        "finding_info_list": [_finding(record, triage)],
        "impact_id": {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}.get(severity_id, 0),
        "priority_id": {2: 1, 3: 2, 4: 3, 5: 4}.get(severity_id, 0),
        "tickets": [{"uid": record.id, "title": ocsf.text(record.title, 1000)}],
    }
    body["impact"] = ("Unknown", "Low", "Medium", "High", "Critical")[body["impact_id"]]
    body["priority"] = ("Unknown", "Low", "Medium", "High", "Critical")[body["priority_id"]]
    body["metadata"] |= {"uid": record.id, "profiles": ["incident"]}
    if record.facts.get("personal_data") is True:
        body["is_suspected_breach"] = True
    if triage is not None:
        confidence_id, confidence = ocsf.CONFIDENCES[triage.confidence]
        body |= {"confidence_id": confidence_id, "confidence": confidence}
        if triage.began is not None:
            body["start_time"] = triage.began // 1000
        if triage.ended is not None:
            body["end_time"] = triage.ended // 1000
    if record.closing:
        body["notes"] = [
            {
                "comment": ocsf.text(record.closing, 4000),
                "created_time": _ms(record.closed or record.opened),
            }
        ]
    body["unmapped"] = {"casemate": _unmapped(record, principals)}
    return body


def incident_line(record: Incident, *, principals: bool = True) -> bytes:
    """Return a case as one line of JSON."""
    return msgspec.json.encode(incident(record, principals=principals))


def _finding(record: Incident, triage: Triage | None) -> Json:
    info: Json = {
        "uid": record.id,
        "title": ocsf.text(record.title, 1000),
        "created_time": _ms(record.opened),
        "types": [record.threat or (triage.assessment if triage else "unknown")],
        "analytic": {"name": "casemate triage", "type": "Behavioral", "type_id": 2},
    }
    row = loader.entries("threats", ThreatKind).get(record.threat or "")
    techniques = [ref[6:] for ref in (row.refs if row else ()) if ref.startswith("atlas:AML.T")]
    if techniques:
        info["attacks"] = [ocsf.technique(one) for one in techniques]
    if triage is not None:
        if triage.reasons:
            info["desc"] = ocsf.text(" ".join(triage.reasons), 4000)
        info["related_events"] = [{"uid": one} for one in triage.events[:_MOST]]
        info["related_events_count"] = min(triage.queries, ocsf.LARGEST)
    return info


def _unmapped(record: Incident, principals: bool) -> Json:
    triage = record.triage
    found: Json = {
        "threat": record.threat,
        "aware": record.aware.isoformat(),
        "sources": list(record.sources) or None,
        "orders": list(record.orders) or None,
        "vulnerabilities": list(record.vulnerabilities) or None,
        "playbook": record.playbook,
    }
    if triage is not None:
        found |= {
            "principals": [ocsf.text(one.principal, 1000) for one in triage.suspects[:_MOST]]
            if principals
            else None,
            "models": [ocsf.text(one, 1000) for one in triage.models],
            "guesses": {one.threat: one.share for one in triage.guesses},
            "success": triage.success,
        }
    return {name: value for name, value in found.items() if value is not None}


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
