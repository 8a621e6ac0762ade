"""Every event and detection is valid OCSF by its own sources, hostile names included."""

import json

import msgspec
import pytest
from hypothesis import given, settings

from casemate.catalog.entries import Detector
from casemate.catalog.loader import entries
from casemate.export import ocsf
from casemate.export.attestation import Chain
from casemate.records.severity import Confidence, Severity
from tests.export import ocsf_schema
from tests.export.records import DECISIONS, event, everything, hostile
from tests.notify.made import detection

SCHEMA = pytest.mark.skipif(not ocsf_schema.ROOT.is_dir(), reason="no OCSF schema on this machine")


def faults(record):
    return ocsf_schema.faults(json.loads(msgspec.json.encode(record)))


@SCHEMA
def test_every_kind_and_decision_is_valid():
    assert [fault for one in everything() for fault in faults(ocsf.event(one))] == []


@SCHEMA
def test_every_detection_is_valid():
    rules = [*entries("detections", Detector), "of-somebody-else"]
    for rule in rules:
        for severity in Severity:
            for confidence in Confidence:
                found = detection(
                    rule=rule,
                    severity=severity,
                    confidence=confidence,
                    events=("w-1:1", "w-1:2"),
                    campaign=None,
                    principals=("eve", ""),
                )
                assert faults(ocsf.finding(found)) == []


@SCHEMA
def test_with_its_attestation_it_is_valid_too():
    chain = Chain("w-1", sign=lambda digest: bytes(64))
    for one in everything():
        assert faults(chain.attest(ocsf.event(one))) == []


@SCHEMA
@settings(max_examples=60, deadline=None)
@given(hostile)
def test_whatever_callers_call_themselves_it_stays_valid(one):
    assert faults(ocsf.event(one)) == []


@SCHEMA
def test_the_check_itself_sees_what_is_wrong():
    good = ocsf.event(event())
    for change in (
        {"actor": {}},
        {"severity_id": 7},
        {"nonsense": 1},
        {"time": "now"},
        {"ai_model": {"name": "m"}},
        {"type_uid": 1},
        {"resources": {}},
        {"metadata": {**good["metadata"], "profiles": []}},
    ):
        assert faults({**good, **change}) != [], change


def test_what_happened_can_be_read_from_it():
    done = ocsf.event(event(decision="refuse", enforced=True, order="ord-1", status=403))
    assert done["class_uid"] == 6003
    assert done["metadata"]["uid"] == "w-0123456789abcdef:41"
    assert done["metadata"]["profiles"] == ["ai_operation", "security_control"]
    assert (done["action"], done["disposition"]) == ("Denied", "Blocked")
    assert done["ai_model"] == {"ai_provider": "Internal", "name": "fraud", "version": "3"}
    assert done["actor"]["user"]["uid"] == "eve"
    assert (done["time"], done["duration"], done["status"]) == (1_795_230_725_123, 12, "Failure")
    assert done["policy"] == {"uid": "ord-1", "is_applied": True}
    more = done["unmapped"]["casemate"]
    assert more["marks"] == ["ffffffffffffffff", "0000000000000011"]
    assert more["margin"] == 0.02
    assert more["at"] == event().at


def test_observing_is_never_shown_as_acting():
    for decision in DECISIONS:
        seen = ocsf.event(event(decision=decision, enforced=False))
        assert seen["action"] == "Observed"


def test_a_detection_says_what_the_page_says():
    found = detection(id="det-1", marked="run-1", principals=("eve", "mallory"))
    told = json.loads(ocsf.detection_line(found))
    assert told["class_uid"] == 2004
    assert told["finding_info"]["uid"] == told["metadata"]["uid"] == "det-1"
    assert [one["user"]["uid"] for one in told["evidences"]] == ["eve", "mallory"]
    assert told["is_alert"] is False
    assert (told["severity"], told["confidence"]) == ("High", "Medium")
    assert told["unmapped"]["casemate"]["first_query"] == 9


def test_a_line_is_one_line():
    assert b"\n" not in ocsf.event_line(event(principal="a\nb"))
    assert (
        json.loads(ocsf.event_line(event(principal="A" * 10**6)))["actor"]["user"]["uid"][-1] == "…"
    )
