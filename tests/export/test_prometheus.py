"""Counters are what Prometheus' own parser reads; nobody's name is in them, and they stay few."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from casemate.export.prometheus import BUCKETS, Counters
from tests.export.records import event, everything, hostile
from tests.notify.made import detection


def samples(counters):
    text = counters.text().decode("utf-8")
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def named(found, name, **labels):
    return [
        value
        for (given, pairs), value in found.items()
        if given == name and labels.items() <= dict(pairs).items()
    ]


def test_counts_are_right():
    counters = Counters()
    counters.count([event(took=3_000), event(took=700_000), event(took=99_000_000)])
    counters.count([event(decision="refuse", enforced=True, model="toy", took=0)])
    counters.count([event(kind="gap", lost=7)])
    found = samples(counters)
    assert named(found, "casemate_events_total", model="fraud", kind="inference") == [3]
    assert named(found, "casemate_events_total", decision="refuse", enforced="yes") == [1]
    assert named(found, "casemate_lost_total", kind="gap") == [7]
    assert named(found, "casemate_signs_total", sign="near-duplicate", model="toy") == [1]
    assert named(found, "casemate_took_seconds_count", model="fraud") == [4]
    assert named(found, "casemate_took_seconds_bucket", le="0.005") == [1]
    assert named(found, "casemate_took_seconds_bucket", le="30") == [3]
    assert named(found, "casemate_took_seconds_bucket", le="+Inf") == [4]
    assert named(found, "casemate_took_seconds_sum") == [pytest.approx(99.715345)]
    assert named(found, "casemate_bytes_total", direction="in", model="toy") == [7000]


def test_rows_of_one_request_count_its_time_once():
    counters = Counters()
    counters.count(event(row=n, rows=5) for n in range(5))
    found = samples(counters)
    assert named(found, "casemate_events_total", model="fraud") == [5]
    assert named(found, "casemate_took_seconds_count") == [1]


def test_a_principal_is_never_in_it():
    counters = Counters()
    counters.count(event(principal="s3cret-eve", session="s3cret") for _ in range(3))
    assert b"s3cret" not in counters.text()


def test_made_up_models_and_signs_do_not_make_series():
    counters = Counters()
    counters.count(event(model=f"m-{n}") for n in range(5000))
    from casemate.records.event import Measures

    counters.count(event(measures=Measures(signs=(f"s-{n}",))) for n in range(5000))
    found = samples(counters)
    assert len(found) < 64 * (len(BUCKETS) + 6) + 600
    assert sum(named(found, "casemate_events_total")) == 10_000
    assert sum(named(found, "casemate_signs_total")) == 10_000
    assert named(found, "casemate_events_total", model="(other)") == [5000 - 64 + 5000]


def test_detections_are_counted_by_rule_and_model_and_never_by_who():
    made = [detection(principals=("s3cret-eve",)) for _ in range(2)]
    made.append(detection(marked="run-1", model="toy"))
    text = Counters().text(made)
    assert b"s3cret" not in text
    values = {
        (one.labels["rule"], one.labels["model"], one.labels["redteam"]): one.value
        for family in text_string_to_metric_families(text.decode())
        for one in family.samples
    }
    assert values == {
        ("test-border-walk", "fraud", "no"): 2, ("test-border-walk", "toy", "yes"): 1,
    }  # fmt: skip


def test_nothing_counted_is_still_readable():
    assert samples(Counters()) == {}


@settings(max_examples=50, deadline=None)
@given(st.lists(hostile, max_size=4))
def test_hostile_names_never_break_the_format(events):
    counters = Counters()
    counters.count([*events, *everything()])
    total = sum(named(samples(counters), "casemate_events_total"))
    assert total == len(events) + len(list(everything()))
