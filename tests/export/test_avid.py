"""A weakness as an AVID report has the fields and the words of AVID's data model."""

import json

import pytest

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entries
from casemate.export import avid
from tests.export.weaknesses_made import WEAKNESSES, bare, package, weakness

# The data model of avidtools (datamodels/report.py, components.py, enums.py), as far as it is used.
TOP = {
    "data_type", "data_version", "metadata", "affects", "problemtype", "metrics", "references",
    "description", "impact", "credit", "reported_date",
}  # fmt: skip
SEP = {
    "S0100: Software Vulnerability", "S0200: Supply Chain Compromise", "S0201: Model Compromise",
    "S0202: Software Compromise", "S0300: Over-permissive API", "S0301: Information Leak",
    "S0302: Excessive Queries", "S0400: Model Bypass", "S0403: Adversarial Example",
    "S0500: Exfiltration", "S0501: Model inversion", "S0502: Model theft", "S0600: Data Poisoning",
}  # fmt: skip
STAGES = {"L03: Data Preparation", "L04: Model Development", "L06: Deployment"}


@pytest.mark.parametrize("name", WEAKNESSES)
def test_it_has_the_fields_and_words_of_the_model(name):
    body = json.loads(avid.write(WEAKNESSES[name]()))
    assert set(body) == TOP
    assert body["data_type"] == "AVID"
    assert {one["type"] for one in body["affects"]["artifacts"]} <= {"Dataset", "Model", "System"}
    assert body["problemtype"]["classof"] in ("CVE Entry", "Undefined")
    assert body["problemtype"]["type"] in ("Issue", "Advisory", "Measurement", "Detection")
    for one in body["metrics"]:
        assert set(one) == {"name", "features", "detection_method"}
        assert one["detection_method"]["type"] in ("Significance Test", "Static Threshold")
    for one in body["references"]:
        assert set(one) == {"type", "label", "url"}
    assert len(body["reported_date"]) == 10


@pytest.mark.parametrize("threat", sorted(entries("threats", ThreatKind)))
def test_every_threat_has_a_place_in_the_taxonomy(threat):
    given = avid.avid(weakness(threat=threat))["impact"]["avid"]
    assert set(given["sep_view"]) <= SEP
    assert given["sep_view"] != ["S0100: Software Vulnerability"]
    assert set(given["lifecycle_view"]) <= STAGES


def test_what_was_measured_is_a_measurement():
    assert {one["name"]: one["features"]["value"] for one in avid.avid(weakness())["metrics"]} == {
        "success": 0.92,
        "median queries": 300.0,
    }
    assert avid.avid(bare())["problemtype"]["type"] == "Issue"
    assert avid.avid(package())["affects"]["artifacts"] == [{"type": "System", "name": "torch"}]
