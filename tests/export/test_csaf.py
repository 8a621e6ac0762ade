"""A weakness as a CSAF advisory is valid, whatever is in it, and says what it should."""

import json

import pytest

from casemate.export import csaf
from casemate.vuln.cvss3 import scores
from tests.export import csaf_schema
from tests.export.weaknesses_made import DIGEST, WEAKNESSES, weakness

PUBLISHER = csaf.Publisher("Example", "https://example.com", "vendor")
needs_schema = pytest.mark.skipif(
    not csaf_schema.SCHEMA.is_file(), reason="no CSAF schema on this machine"
)


@needs_schema
@pytest.mark.parametrize("name", WEAKNESSES)
def test_it_is_valid(name):
    assert csaf_schema.faults(csaf.write(WEAKNESSES[name](), PUBLISHER, scores)) == []


@needs_schema
def test_the_check_can_fail():
    body = csaf.advisory(weakness(), PUBLISHER, scores)
    body["vulnerabilities"][0]["product_status"]["fixed"] = ["CSAFPID-0001", "CSAFPID-0009"]
    body["vulnerabilities"][0]["scores"][0]["cvss_v3"]["baseScore"] = 1.0
    assert len(csaf_schema.faults(json.dumps(body))) == 3


def test_it_says_what_is_known():
    body = csaf.advisory(weakness(), PUBLISHER, scores)
    (one,) = body["vulnerabilities"]
    assert one["cve"] == "CVE-2026-99999"
    assert one["product_status"] == {"known_affected": ["CSAFPID-0001"]}
    (thing,) = body["product_tree"]["full_product_names"]
    helper = thing["product_identification_helper"]
    assert helper["hashes"][0]["file_hashes"][0]["value"] == DIGEST[7:]
    assert "cvss-4.0" in one["notes"][1]["text"]
    assert "ssvc" in one["notes"][1]["text"]
    assert [it["summary"] for it in body["document"]["tracking"]["revision_history"]] == [
        "reported from trial-1",
        "reported -> confirmed: reproduced",
    ]


def test_states_become_statuses():
    def status(state):
        body = csaf.advisory(weakness(state=state), PUBLISHER, scores)
        return body["document"]["tracking"]["status"], *body["vulnerabilities"][0]["product_status"]

    assert status("reported") == ("draft", "known_affected")
    assert status("mitigated") == ("final", "known_affected")
    assert status("fixed") == ("final", "fixed")
