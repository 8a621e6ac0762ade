"""CloudEvents are read back by the project's own library."""

import json
from datetime import UTC, datetime

import pytest

from casemate.export import cloudevents
from casemate.records.codec import encode
from tests.export.records import AT, event, everything
from tests.notify.made import NOW, detection


def parsed(data):
    core = pytest.importorskip("cloudevents.core.formats.json")
    from cloudevents.core.v1.event import CloudEvent

    return core.JSONFormat().read(CloudEvent, data)


def test_each_is_read_by_the_library_and_its_data_is_the_record():
    for one in everything():
        found = parsed(cloudevents.line(one))
        assert found.get_type() == f"io.casemate.{one.kind}"
        assert found.get_time() == datetime.fromtimestamp(AT // 10**6, UTC).replace(
            microsecond=123456
        )
        assert found.get_subject() == (one.model or None)
        assert found.get_data() == json.loads(encode(one))


def test_source_and_id_together_are_unique():
    lines = [
        json.loads(cloudevents.line(event(writer=writer, sequence=n)))
        for writer in ("w-1", "w-2")
        for n in range(3)
    ]
    assert len({(one["source"], one["id"]) for one in lines}) == 6


def test_a_detection_and_a_hostile_name():
    found = parsed(cloudevents.line(detection(id="det-1", model="a b/\u202e\n")))
    assert (found.get_id(), found.get_type()) == ("det-1", "io.casemate.detection")
    assert found.get_subject() == "a%20b%2F%E2%80%AE%0A"
    assert found.get_time() == datetime.fromtimestamp(NOW / 1e6, UTC)
    assert b"\n" not in cloudevents.line(event(principal="a\nb"))
