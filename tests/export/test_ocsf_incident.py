"""A case is a valid Incident Finding of OCSF, open or closed, known or unknown."""

import json

import pytest

from casemate.export import ocsf_incident
from tests.export import ocsf_schema
from tests.export.weaknesses_made import HOSTILE, NOW, incident

CASES = {
    "full": incident,
    "new": lambda: incident(version=0, triage=None, owner=None, threat=None),
    "closed": lambda: incident(state="closed", closed=NOW, closing="the model was repaired"),
    "contained": lambda: incident(state="contained", facts={"personal_data": True}),
    "hostile": lambda: incident(title=HOSTILE, owner=HOSTILE),
    **{
        severity: lambda severity=severity: incident(severity=severity)
        for severity in ("critical", "moderate", "low")
    },
}


@pytest.mark.skipif(not ocsf_schema.ROOT.is_dir(), reason="no OCSF sources on this machine")
@pytest.mark.parametrize("name", CASES)
def test_it_is_valid(name):
    body = json.loads(ocsf_incident.incident_line(CASES[name]()))
    assert ocsf_schema.faults(body) == []


def test_it_says_what_the_case_says():
    body = ocsf_incident.incident(incident())
    assert (body["class_uid"], body["type_uid"]) == (2005, 200502)
    assert (body["verdict"], body["status"], body["severity"]) == (
        "True Positive", "In Progress", "High",
    )  # fmt: skip
    assert body["start_time"] == 1_795_230_725_123
    assert body["assignee"]["uid"] == "bob"
    (info,) = body["finding_info_list"]
    assert info["related_events"] == [{"uid": "w-0:1"}, {"uid": "w-0:2"}]
    assert info["attacks"][0]["technique"]["uid"] == "AML.T0043"
    assert body["unmapped"]["casemate"]["principals"][0] == "eve"
    assert "'eve'" not in str(ocsf_incident.incident(incident(), principals=False))


@pytest.mark.parametrize(
    ("assessment", "verdict"),
    [("probe", "Suspicious"), ("drift", "Disregard"), ("cannot-tell", "Insufficient Data")],
)
def test_what_is_no_attack_is_no_true_positive(assessment, verdict):
    import msgspec

    triage = msgspec.structs.replace(incident().triage, assessment=assessment)
    assert ocsf_incident.incident(incident(triage=triage))["verdict"] == verdict
