"""Spans as the SDK keeps them: times, place below the caller's span, attributes it accepts."""

import pytest
from hypothesis import given, settings
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from casemate.export.otel import Spans, attributes
from tests.export.records import AT, event, everything, hostile


@pytest.fixture
def kept():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider)

    def write(one):
        exporter.clear()
        spans.write(one)
        (span,) = exporter.get_finished_spans()
        return span

    yield write
    provider.shutdown()


def test_a_span_has_the_times_and_says_what_was_decided(kept):
    span = kept(event(decision="refuse", enforced=True))
    assert span.name == "inference fraud"
    assert span.start_time == AT * 1000
    assert span.end_time - span.start_time == 12_345_000
    assert span.attributes["enduser.id"] == "eve"
    assert span.attributes["ml.model.name"] == "fraud"
    assert span.attributes["ml.query.cluster"] == "fffffffffffffffe"
    (told,) = span.events
    assert told.attributes["ml.guard.decision"] == "refuse"
    assert told.attributes["ml.query.signs"] == ("near-duplicate",)
    assert span.parent is None


def test_it_stands_below_the_callers_span(kept):
    span = kept(event(request=f"00-{'ab' * 16}-{'cd' * 8}-01"))
    assert span.context.trace_id == int("ab" * 16, 16)
    assert span.parent.span_id == int("cd" * 8, 16)


@pytest.mark.parametrize("request_", ["41", f"00-{'0' * 32}-{'cd' * 8}-01", "00-xyz", ""])
def test_what_is_no_place_in_a_trace_begins_one(kept, request_):
    assert kept(event(request=request_)).parent is None


def test_chat_speaks_the_convention_of_generative_models(kept):
    span = kept(event(protocol="chat"))
    assert span.attributes["gen_ai.request.model"] == "fraud"
    assert span.attributes["gen_ai.operation.name"] == "chat"
    assert "ml.model.name" not in span.attributes


def test_failures_are_errors(kept):
    assert kept(event(kind="failed", note="no answer")).status.status_code is StatusCode.ERROR
    assert kept(event(status=503)).status.status_code is StatusCode.ERROR
    assert kept(event(status=404)).status.status_code is StatusCode.UNSET


def test_the_sdk_takes_every_attribute(kept, caplog):
    for one in everything():
        span = kept(one)
        assert set(span.attributes) == set(attributes(one))
    assert caplog.text == ""


@settings(max_examples=60, deadline=None)
@given(hostile)
def test_hostile_names_are_cut_and_clean(one):
    for value in attributes(one).values():
        if isinstance(value, str):
            assert len(value) <= 500
            value.encode("utf-8")
