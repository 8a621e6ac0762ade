"""Events as OpenTelemetry spans in OTLP's JSON: `gen_ai.*` for chat, `ml.*` for the rest.

OpenTelemetry has no convention for predictive models; `ml.*` here says what ours would be. A
principal is an attribute (`enduser.id`), as spans, unlike metrics, are looked at one by one.
Source: opentelemetry-semantic-conventions 0.66b2, `gen_ai` (in development); OTLP 1.5, JSON
protobuf encoding (https://opentelemetry.io/docs/specs/otlp).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec

from casemate import __version__
from casemate.export.wording import clean, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.records.event import Event

Json = dict[str, Any]
Value = str | int | float | bool | list[str]
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_LONGEST = 500
_SERVER = 2
_ERROR = 2


def attributes(record: Event) -> dict[str, Value]:
    """Return what is said of an event, by attribute name; absent measures are left out."""
    measures = record.measures
    chat = record.protocol == "chat"
    model = "gen_ai.request.model" if chat else "ml.model.name"
    found: dict[str, Value | None] = {
        model: _text(record.model),
        "gen_ai.operation.name": "chat" if chat else None,
        "gen_ai.conversation.id": _text(record.session) if chat else None,
        "ml.model.version": _text(record.version),
        "enduser.id": _text(record.principal),
        "session.id": _text(record.session),
        "http.route": _text(record.route),
        "http.response.status_code": record.status or None,
        "http.request.body.size": record.bytes_in or None,
        "http.response.body.size": record.bytes_out or None,
        "ml.request.protocol": _text(record.protocol),
        "ml.request.row": record.row,
        "ml.request.rows": record.rows,
        "ml.event.id": f"{record.writer}:{record.sequence}",
        "ml.event.kind": record.kind,
        "ml.event.lost": record.lost or None,
        "ml.guard.decision": record.decision,
        "ml.guard.enforced": record.enforced,
        "ml.guard.order": _text(record.order),
        "ml.client.purpose": _text(record.purpose),
        "ml.redteam.run": _text(record.marked),
        "ml.query.near_duplicate_score": measures.near,
        "ml.query.near_to": _text(measures.near_to),
        # Attributes are signed 64-bit numbers; a cluster's id is not.
        "ml.query.cluster": None if measures.cluster is None else f"{measures.cluster:016x}",
        "ml.query.contract_broken": measures.broken or None,
        "ml.query.signs": [_text(one) or "" for one in measures.signs] or None,
        "ml.output.label": measures.label,
        "ml.output.label_name": _text(measures.label_name),
        "ml.output.confidence": measures.confidence,
        "ml.output.margin": measures.margin,
        "ml.output.flipped": measures.flipped,
    }
    return {key: value for key, value in found.items() if value is not None and value != ""}


def traces(events: Sequence[Event]) -> bytes:
    """Return events as one `ExportTraceServiceRequest` in a line of JSON, one span each.

    A span stands below the caller's where `request` is a W3C `traceparent`; the rows of any other
    request share a trace. The same event always has the same ids.
    """
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": _pairs({"service.name": "casemate"})},
                "scopeSpans": [
                    {
                        "scope": {"name": "casemate", "version": __version__},
                        "spans": [_span(one) for one in events],
                    }
                ],
            }
        ]
    }
    return msgspec.json.encode(body)


def _span(record: Event) -> Json:
    name = f"{record.writer}:{record.sequence}"
    caller = _TRACEPARENT.fullmatch(record.request)
    if caller and (int(caller[1], 16) == 0 or int(caller[2], 16) == 0):
        caller = None
    start = record.at * 1000
    span: Json = {
        "traceId": caller[1]
        if caller
        else _digest(f"{record.writer}:{record.request or name}", 16),
        "spanId": _digest(name, 8),
        "name": f"{record.kind} {_text(record.model) or 'unknown'}",
        "kind": _SERVER,
        "startTimeUnixNano": _unsigned(start),
        "endTimeUnixNano": _unsigned(start + max(record.took, 0) * 1000),
        "attributes": _pairs(attributes(record)),
    }
    if caller:
        span["parentSpanId"] = caller[2]
    if record.kind == "failed" or record.status >= 500:
        span["status"] = {"code": _ERROR, "message": _text(record.note) or ""}
    if record.decision != "pass" or record.measures.signs:
        told: dict[str, Value] = {
            "ml.guard.decision": record.decision,
            "ml.guard.enforced": record.enforced,
            "ml.query.signs": [_text(one) or "" for one in record.measures.signs],
        }
        span["events"] = [
            {
                "timeUnixNano": _unsigned(start),
                "name": "ml.guard.decision",
                "attributes": _pairs(told),
            }
        ]
    return span


def _pairs(given: Mapping[str, Value]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in given.items()]


def _value(value: Value) -> Json:
    # 64-bit numbers are strings in protobuf's JSON.
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(max(-(2**63), min(value, 2**63 - 1)))}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(one) for one in value]}}


def _unsigned(nanos: int) -> str:
    return str(max(0, min(nanos, 2**64 - 1)))


def _digest(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).hexdigest()


def _text(text: str | None) -> str | None:
    return None if text is None else shorten(clean(text), _LONGEST)
