"""Ids of what a case is opened from: whole, by their beginning, or the latest."""

import pytest

from casemate.errors import UsageError
from casemate.workflows import sources


def test_a_detection_by_its_id_its_beginning_or_as_the_latest(scene):
    first = scene.detections[0]
    with scene.open() as workspace:
        whole = sources.find(workspace, [first.id])
        assert whole.detections == (first,)
        assert whole.ids == (first.id,)
        assert sources.find(workspace, [first.id.removeprefix("det-")]).detections == (first,)
        latest = sources.find(workspace, ["latest"]).detections
        assert max(one.made for one in scene.detections) in {one.made for one in latest}
        assert len({one.campaign for one in latest}) == 1
        same = sources.find(workspace, [str(first.campaign)]).detections
        assert {one.id for one in same} == {
            one.id for one in scene.detections if one.campaign == first.campaign
        }


@pytest.mark.parametrize("name", ["det-zzzz", "fp-00", "trial-00", "cam-zz", "x", "run-zz", ""])
def test_what_names_nothing_is_said_to(scene, name):
    with scene.open() as workspace, pytest.raises(UsageError, match="nothing on record"):
        sources.find(workspace, [name])


def test_an_event_is_found_by_writer_and_sequence(scene):
    from casemate.store.telemetry.opening import open_query

    with scene.open() as workspace:
        query = open_query(workspace.folder / "telemetry")
        name = scene.detections[0].events[0]
        (found,) = sources.events_named(query, [name])
        assert f"{found.writer}:{found.sequence}" == name
        assert sources.events_named(query, [f"{found.writer}:999999"]) == []
        many = scene.detections[0].events
        assert len(sources.events_named(query, many)) == len(many)
        assert sources.find(workspace, [name]).events == (name,)
