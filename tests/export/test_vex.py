"""Answers as VEX are valid, each with a reason, and unknown is never not affected."""

import pytest

from casemate.export import csaf, vex
from tests.export import csaf_schema
from tests.export.weaknesses_made import HOSTILE, NOW, answer

PUBLISHER = csaf.Publisher()
ALL = [
    answer("affected"),
    answer("fixed", version="2.6.0"),
    answer("under-investigation", version="main"),
    answer("not-affected", name="this environment"),
    answer("affected", vulnerability="cmv-2026-0001", aliases=(), refs=()),
    answer("under-investigation", name=HOSTILE, title=HOSTILE, because=HOSTILE),
]


def made(answers):
    return vex.vex(answers, PUBLISHER, ident="vex-1", at=NOW)


@pytest.mark.skipif(not csaf_schema.SCHEMA.is_file(), reason="no CSAF schema on this machine")
@pytest.mark.parametrize("answers", [ALL, *[[one] for one in ALL]], ids=len)
def test_it_is_valid(answers):
    assert csaf_schema.faults(vex.write(answers, PUBLISHER, ident="vex-1", at=NOW)) == []


def test_each_status_has_its_word_and_its_reason():
    body = made(ALL)
    assert body["document"]["category"] == "csaf_vex"
    one, other = body["vulnerabilities"]
    assert {word: len(of) for word, of in one["product_status"].items()} == {
        "known_affected": 1,
        "fixed": 1,
        "under_investigation": 2,
        "known_not_affected": 1,
    }
    assert one["cve"] == "CVE-2025-32434"
    (flag,) = one["flags"]
    assert flag["label"] == "component_not_present"
    assert flag["product_ids"] == one["product_status"]["known_not_affected"]
    assert {it["details"] for it in one["threats"]} >= {"torch 2.5.1 is affected"}
    assert [it["details"] for it in one["remediations"]] == ["upgrade"]
    assert other["ids"][0] == {"system_name": "casemate", "text": "cmv-2026-0001"}


def test_one_thing_has_one_status_for_a_weakness_the_worst_said():
    body = made([answer("fixed"), answer("affected"), answer("under-investigation")])
    assert body["vulnerabilities"][0]["product_status"] == {"known_affected": ["CSAFPID-0001"]}
