"""Events and detections in the Open Cybersecurity Schema Framework, for a SIEM or a data lake.

An inference is API Activity 6003 with the profile `ai_operation`, and `security_control` for what
the guard did; a detection is Detection Finding 2004; the guard's own starts, stops and gaps are
Application Lifecycle 6002. What the schema has no place for (measures, digests) stands under
`unmapped`. Source: https://schema.ocsf.io, 1.8.0 and the sources of 1.9.0-dev.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from casemate import __version__
from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.export.wording import clean, shorten
from casemate.records.severity import Confidence, Severity

if TYPE_CHECKING:
    from casemate.records.detection import Detection
    from casemate.records.event import Event

Json = dict[str, Any]
VERSION = "1.8.0"
SEVERITIES = {
    Severity.CRITICAL: (5, "Critical"),
    Severity.IMPORTANT: (4, "High"),
    Severity.MODERATE: (3, "Medium"),
    Severity.LOW: (2, "Low"),
}
CONFIDENCES = {
    Confidence.CERTAIN: (3, "High"),
    Confidence.FIRM: (2, "Medium"),
    Confidence.TENTATIVE: (1, "Low"),
}
_ALLOWED, _DENIED, _OBSERVED, _MODIFIED = (
    (1, "Allowed"),
    (2, "Denied"),
    (3, "Observed"),
    (4, "Modified"),
)
_DONE = {
    "pass": (_ALLOWED, (1, "Allowed")),
    "coarsen": (_MODIFIED, (7, "Custom Action")),
    "delay": (_MODIFIED, (14, "Delayed")),
    "refuse": (_DENIED, (2, "Blocked")),
    "route": (_MODIFIED, (7, "Custom Action")),
    "review": (_MODIFIED, (14, "Delayed")),
    "step-up": (_DENIED, (23, "Challenge")),
    "cluster-answer": (_MODIFIED, (7, "Custom Action")),
    "decoy": (_MODIFIED, (7, "Custom Action")),
}
_LIFE = {"started": (3, "Start"), "stopped": (4, "Stop"), "gap": (99, "Gap in the record")}
_WORDS = 1000
LARGEST = 2**53 - 1


def event(record: Event, *, provider: str = "Internal") -> Json:
    """Return an event as an OCSF object; `provider` is who makes the model."""
    return _lifecycle(record) if record.kind in _LIFE else _activity(record, provider)


def finding(record: Detection) -> Json:
    """Return a detection as a Detection Finding 2004."""
    entry = loader.entries("detections", Detector).get(record.rule)
    severity, severity_name = SEVERITIES[record.severity]
    confidence, confidence_name = CONFIDENCES[record.confidence]
    message = text(record.message, 4000)
    steps = record.next_steps or (entry.next_steps if entry else ())
    info: Json = {
        "uid": text(record.id),
        "title": text(entry.title if entry else record.rule),
        "desc": message,
        "analytic": {
            "uid": text(record.rule),
            "name": text(entry.title if entry else record.rule),
            "type": "Behavioral",
            "type_id": 2,
        },
        "types": [record.conclusion],
        "created_time": _ms(record.made),
        "first_seen_time": _ms(record.began),
        "last_seen_time": _ms(record.ended),
        "related_events": [{"uid": one} for one in record.events],
        "related_events_count": min(record.queries, LARGEST),
    }
    techniques = [ref[6:] for ref in (entry.refs if entry else ()) if ref.startswith("atlas:AML.T")]
    if techniques:
        info["attacks"] = [technique(one) for one in techniques]
    body = head(2004, "Detection Finding", 2, "Findings", 1, "Create", record.made)
    body |= {
        "severity_id": severity,
        "severity": severity_name,
        "confidence_id": confidence,
        "confidence": confidence_name,
        "message": message,
        "status_id": 1,
        "status": "New",
        "is_alert": record.marked is None,
        "start_time": _ms(record.began),
        "end_time": _ms(record.ended),
        "finding_info": info,
        "evidences": [{"user": user(one)} for one in record.principals[:64]],
        "resources": [_model_resource(record.model, None)],
    }
    if steps:
        body["remediation"] = {"desc": text(" ".join(steps), 4000)}
    body["metadata"] |= {"uid": text(record.id), "event_code": text(record.rule)}
    if record.campaign:
        body["metadata"]["correlation_uid"] = text(record.campaign)
    more = {
        "queries": record.queries,
        "first_query": record.first_query,
        "score": record.score,
        "bar": record.bar,
        "marked": record.marked,
    }
    body["unmapped"] = {
        "casemate": {key: value for key, value in more.items() if value is not None}
    }
    return body


def event_line(record: Event) -> bytes:
    """Return an event as one line of JSON."""
    return msgspec.json.encode(event(record))


def detection_line(record: Detection) -> bytes:
    """Return a detection as one line of JSON, as the pager's `ocsf` channel wants it."""
    return msgspec.json.encode(finding(record))


def _activity(record: Event, provider: str) -> Json:
    body = head(6003, "API Activity", 6, "Application Activity", 99, "Inference", record.at)
    action, disposition = _control(record)
    alert = bool(record.measures.signs)
    body |= {
        "severity_id": 3 if alert else 1,
        "severity": "Medium" if alert else "Informational",
        "actor": {"user": user(record.principal)},
        "api": {
            "operation": "inference",
            "service": {"name": text(record.route) or "unknown"},
            **({"version": text(record.protocol)} if record.protocol else {}),
        },
        "src_endpoint": {"uid": text(record.principal) or "unknown"},
        "http_request": {"length": min(record.bytes_in, LARGEST)},
        "resources": [
            _model_resource(record.model, record.version),
            *({"name": text(one), "type": "component"} for one in record.components),
        ],
        "ai_model": {
            "ai_provider": provider,
            "name": text(record.model) or "unknown",
            **({"version": text(record.version)} if record.version else {}),
        },
        "action_id": action[0],
        "action": action[1],
        "disposition_id": disposition[0],
        "disposition": disposition[1],
        "is_alert": alert,
        "duration": record.took // 1000,
        "message": f"{record.kind}: {record.decision}",
    }
    if record.status:
        good = 200 <= record.status < 400
        body |= {
            "status_id": 1 if good else 2,
            "status": "Success" if good else "Failure",
            "status_code": str(record.status),
            "http_response": {
                "code": record.status,
                "latency": record.took // 1000,
                "length": min(record.bytes_out, LARGEST),
            },
        }
    if record.note:
        body["status_detail"] = text(record.note)
    if record.order:
        body["policy"] = {"uid": text(record.order), "is_applied": record.enforced}
    if record.session:
        body["message_context"] = {
            "uid": text(record.session),
            "service": {"name": text(record.route) or "unknown"},
            "ai_role_id": 0,
        }
    body["metadata"] |= {"profiles": ["ai_operation", "security_control"], **_place(record)}
    if record.request:
        body["metadata"]["correlation_uid"] = text(record.request)
    body["unmapped"] = {"casemate": _unmapped(record)}
    return body


def _lifecycle(record: Event) -> Json:
    activity, name = _LIFE[record.kind]
    body = head(6002, "Application Lifecycle", 6, "Application Activity", activity, name, record.at)
    severe = record.kind == "gap"
    body |= {
        "severity_id": 3 if severe else 1,
        "severity": "Medium" if severe else "Informational",
        "app": {"name": "casemate guard", "uid": text(record.writer), "version": __version__},
        "message": text(record.note or name),
    }
    if record.until is not None:
        body["start_time"], body["end_time"] = _ms(record.at), _ms(record.until)
    if record.lost:
        body["count"] = min(record.lost, LARGEST)
    body["metadata"] |= _place(record)
    body["unmapped"] = {"casemate": _unmapped(record)}
    return body


def head(
    uid: int, name: str, category: int, category_name: str, activity: int, done: str, at: int
) -> Json:
    """Return what every class begins with; `at` in microseconds since the epoch."""
    return {
        "class_uid": uid,
        "class_name": name,
        "category_uid": category,
        "category_name": category_name,
        "activity_id": activity,
        "activity_name": done,
        "type_uid": uid * 100 + activity,
        "type_name": f"{name}: {done if activity != 99 else 'Other'}",
        "time": _ms(at),
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "casemate",
                "vendor_name": "casemate",
                "version": __version__,
            },
            "log_name": "casemate",
        },
    }


def _place(record: Event) -> Json:
    return {
        "uid": f"{text(record.writer)}:{record.sequence}",
        "sequence": min(record.sequence, LARGEST),
    }


def _control(record: Event) -> tuple[tuple[int, str], tuple[int, str]]:
    if record.kind == "refused":
        return _DENIED, (2, "Blocked")
    if record.kind == "bypassed":
        return _ALLOWED, (16, "No Action")
    if record.decision == "pass":
        return _OBSERVED, (17, "Logged")
    return _DONE[record.decision] if record.enforced else (_OBSERVED, (15, "Detected"))


def _unmapped(record: Event) -> Json:
    """Return what OCSF has no place for; 64-bit numbers as hex, which every reader keeps whole."""
    measures = record.measures
    found: Json = {
        "kind": record.kind,
        "decision": record.decision,
        "enforced": record.enforced,
        "at": record.at,
        "row": record.row,
        "rows": record.rows,
        "input_digest": record.input_digest,
        "output_digest": record.output_digest,
        "served_digest": record.served_digest,
        "payload": record.payload,
        "purpose": record.purpose,
        "marked": record.marked,
        "trained": record.trained,
        "newest_row": record.newest_row,
        "source": record.source,
        "lost": record.lost or None,
        "marks": [f"{one:016x}" for one in measures.marks] or None,
        "cluster": None if measures.cluster is None else f"{measures.cluster:016x}",
        "signs": list(measures.signs) or None,
        "broken": measures.broken or None,
    }
    for name in (
        "near", "near_to", "near_same", "size", "delta", "turn", "asked", "fresh", "bits",
        "broken_by", "norm", "label", "label_name", "confidence", "margin", "flipped",
    ):  # fmt: skip
        found[name] = getattr(measures, name)
    return {
        key: text(value) if isinstance(value, str) else value
        for key, value in found.items()
        if value is not None
    }


def user(principal: str) -> Json:
    """Return a person or a client."""
    return {"uid": text(principal) or "unknown", "type_id": 0}


def _model_resource(model: str, version: str | None) -> Json:
    return {
        "name": text(model) or "unknown",
        "type": "model",
        **({"version": text(version)} if version else {}),
    }


def text(words: str, limit: int = _WORDS) -> str:
    """Return words from outside, short and without what reorders a screen."""
    return shorten(clean(words), limit)


def technique(ident: str) -> Json:
    """Return a technique of ATLAS as an attack object."""
    return {"technique": {"uid": ident, "src_url": f"https://atlas.mitre.org/techniques/{ident}"}}


def _ms(micros: int) -> int:
    return micros // 1000
