"""Events as OpenTelemetry spans: `gen_ai.*` for chat, a namespace of our own for the rest.

OpenTelemetry has no convention for predictive models; `ml.*` here says what ours would be. A
principal is an attribute (`enduser.id`), as spans, unlike metrics, are looked at one by one.
Source: opentelemetry-semantic-conventions 0.66b2, `gen_ai` (in development).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from casemate import __version__
from casemate.errors import MissingExtra
from casemate.export.wording import clean, shorten

if TYPE_CHECKING:
    from casemate.records.event import Event

Value = str | int | float | bool | list[str]
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_LONGEST = 500


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
        "ml.query.near_to": measures.near_to,
        # Attributes are signed 64-bit numbers; a cluster's id is not.
        "ml.query.cluster": None if measures.cluster is None else f"{measures.cluster:016x}",
        "ml.query.contract_broken": measures.broken or None,
        "ml.query.signs": list(measures.signs) or None,
        "ml.output.label": measures.label,
        "ml.output.label_name": _text(measures.label_name),
        "ml.output.confidence": measures.confidence,
        "ml.output.margin": measures.margin,
        "ml.output.flipped": measures.flipped,
    }
    return {key: value for key, value in found.items() if value is not None and value != ""}


class Spans:
    """Writes one span per event to a tracer provider of the OpenTelemetry SDK."""

    def __init__(self, provider: Any) -> None:
        """Take a provider, which knows where spans go.

        Raises:
            MissingExtra: opentelemetry is not installed.
        """
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise MissingExtra("telemetry", for_="OpenTelemetry spans") from error
        self._trace = trace
        self._tracer = provider.get_tracer("casemate", __version__)

    def write(self, record: Event) -> None:
        """Write one event as a finished span, below the caller's where `request` names that.

        The caller's place is a W3C `traceparent`; the event ends when the answer did.
        """
        trace = self._trace
        start = record.at * 1000
        span = self._tracer.start_span(
            f"{record.kind} {_text(record.model) or 'unknown'}",
            context=self._caller(record.request),
            kind=trace.SpanKind.SERVER,
            attributes=attributes(record),
            start_time=start,
        )
        if record.kind == "failed" or record.status >= 500:
            span.set_status(trace.Status(trace.StatusCode.ERROR, _text(record.note) or None))
        if record.decision != "pass" or record.measures.signs:
            span.add_event(
                "ml.guard.decision",
                {
                    "ml.guard.decision": record.decision,
                    "ml.guard.enforced": record.enforced,
                    "ml.query.signs": list(record.measures.signs),
                },
                timestamp=start,
            )
        span.end(end_time=start + max(record.took, 0) * 1000)

    def _caller(self, request: str) -> Any:
        found = _TRACEPARENT.fullmatch(request)
        if found is None:
            return None
        trace = self._trace
        parent = trace.SpanContext(
            trace_id=int(found[1], 16),
            span_id=int(found[2], 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(int(found[3], 16)),
        )
        return (
            trace.set_span_in_context(trace.NonRecordingSpan(parent)) if parent.is_valid else None
        )


def _text(text: str | None) -> str | None:
    return None if text is None else shorten(clean(text), _LONGEST)
