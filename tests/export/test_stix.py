"""A case as STIX is read by the stix2 library, and names who took part only where it may."""

import json

import pytest
import stix2
from stix2patterns.validator import run_validator

from casemate.export import stix
from tests.export.weaknesses_made import HOSTILE, WEAKNESSES, incident, weakness


def objects(body, kind):
    return [one for one in body["objects"] if one["type"] == kind]


@pytest.mark.parametrize("name", WEAKNESSES)
def test_the_library_reads_a_weakness(name):
    read = stix2.parse(stix.write(None, [WEAKNESSES[name]()]).decode())
    assert len(read.objects) == 4


def test_the_library_reads_a_case_and_every_reference_leads_somewhere():
    body = json.loads(stix.write(incident(), [weakness()], publisher="Example"))
    read = stix2.parse(body)
    ids = {one["id"] for one in read.objects}
    for one in body["objects"]:
        for name, value in one.items():
            if name.endswith("_ref"):
                assert value in ids
            if name.endswith("_refs"):
                assert set(value) <= ids
    (report,) = objects(body, "report")
    assert set(report["object_refs"]) == ids - {report["id"]}
    (pattern,) = objects(body, "attack-pattern")
    assert pattern["external_references"][0]["external_id"] == "AML.T0043"


def test_principals_are_indicators_whose_patterns_hold():
    body = stix.stix(incident(), [weakness()])
    found = objects(body, "indicator")
    assert [one["name"] for one in found] == ["principal eve", "principal o'\\brien' OR 1=1"]
    assert [one["confidence"] for one in found] == [95, 40]
    assert [run_validator(one["pattern"]) for one in found] == [[], []]
    compared = [one["pattern"].partition(" = ")[2] for one in found]
    assert compared == ["'eve']", "'o\\'\\\\brien\\' OR 1=1']"]


def test_principals_can_be_left_out():
    body = stix.stix(incident(), [weakness()], principals=False)
    assert objects(body, "indicator") == []
    assert "eve" not in json.dumps(body)


def test_the_same_case_gives_the_same_objects():
    assert stix.write(incident(), [weakness()]) == stix.write(incident(), [weakness()])


def test_a_case_of_which_nothing_is_known_yet_is_written_too():
    case = incident(triage=None, threat=None, title=HOSTILE)
    assert stix2.parse(stix.write(case).decode()).objects
