"""Spans as OTLP's own messages read them: times, place below the caller's span, attributes."""

import base64
import json

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from casemate.export.otel import attributes, traces
from tests.export.records import AT, event, everything, hostile


def read(*events):
    """Return the spans as OTLP's own messages; the envelope is held to its published form."""
    line = traces(events)
    assert b"\n" not in line
    body = json.loads(line)
    assert list(body) == ["resourceSpans"]
    (resource,) = body["resourceSpans"]
    assert set(resource) == {"resource", "scopeSpans"}
    named = json_format.ParseDict(resource["resource"], Resource())
    assert plain(named.attributes) == {"service.name": "casemate"}
    (scope,) = resource["scopeSpans"]
    assert set(scope) == {"scope", "spans"}
    assert scope["scope"]["name"] == "casemate"
    return [json_format.ParseDict(one, Span()) for one in scope["spans"]]


def ident(raw):
    """Return an id as it was written: OTLP has hex where protobuf's JSON reads base64."""
    return base64.b64encode(raw).decode()


def plain(pairs):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in pairs}


def test_a_span_has_the_times_and_says_what_was_decided():
    (span,) = read(event(decision="refuse", enforced=True))
    assert (span.name, span.kind) == ("inference fraud", Span.SPAN_KIND_SERVER)
    assert span.start_time_unix_nano == AT * 1000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 12_345_000
    found = plain(span.attributes)
    assert found["enduser.id"] == "eve"
    assert found["ml.model.name"] == "fraud"
    assert found["ml.query.cluster"] == "fffffffffffffffe"
    assert found["http.response.status_code"] == 200
    assert found["ml.guard.enforced"] is True
    assert found["ml.output.confidence"] == 0.51
    (told,) = span.events
    assert plain(told.attributes)["ml.guard.decision"] == "refuse"
    signs = plain(told.attributes)["ml.query.signs"].values
    assert [one.string_value for one in signs] == ["near-duplicate"]
    assert span.parent_span_id == b""


def test_it_stands_below_the_callers_span():
    (span,) = read(event(request=f"00-{'ab' * 16}-{'cd' * 8}-01"))
    assert ident(span.trace_id) == "ab" * 16
    assert ident(span.parent_span_id) == "cd" * 8


@pytest.mark.parametrize("request_", ["41", f"00-{'0' * 32}-{'cd' * 8}-01", "00-xyz", ""])
def test_what_is_no_place_in_a_trace_begins_one(request_):
    (span,) = read(event(request=request_))
    assert span.parent_span_id == b""
    assert len(ident(span.trace_id)) == 32
    assert set(ident(span.trace_id)) != {"0"}


def test_rows_of_a_request_share_a_trace_and_ids_are_the_same_each_time():
    rows = [event(sequence=41 + n, row=n, rows=2) for n in range(2)]
    one, two = read(*rows)
    assert one.trace_id == two.trace_id
    assert one.span_id != two.span_id
    assert read(*rows) == [one, two]
    assert read(event(request="42"))[0].trace_id != one.trace_id
    assert len(json.loads(traces(rows))["resourceSpans"][0]["scopeSpans"][0]["spans"]) == 2


def test_chat_speaks_the_convention_of_generative_models():
    found = plain(read(event(protocol="chat"))[0].attributes)
    assert found["gen_ai.request.model"] == "fraud"
    assert found["gen_ai.operation.name"] == "chat"
    assert "ml.model.name" not in found


def test_failures_are_errors():
    failed = read(
        event(kind="failed", note="no answer"), event(status=503, sequence=42), event(status=404)
    )
    assert [one.status.code for one in failed] == [
        Status.STATUS_CODE_ERROR, Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET,
    ]  # fmt: skip
    assert failed[0].status.message == "no answer"


def test_every_attribute_arrives():
    for one in everything():
        (span,) = read(one)
        assert set(plain(span.attributes)) == set(attributes(one))


@settings(max_examples=60, deadline=None)
@given(hostile)
def test_hostile_names_are_cut_and_clean(one):
    assert len(read(one)) == 1
    for value in attributes(one).values():
        if isinstance(value, str):
            assert len(value) <= 500
            value.encode("utf-8")
