"""JUnit that parses, counts right, and shows what could not be checked as an error."""

from xml.etree import ElementTree as ET

import pytest

from casemate.export.report import Bundle, write
from tests.export import bundles

CASE_CHILDREN = {"failure", "error", "skipped", "system-out"}
SUITE_ATTRIBUTES = {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}


def root_of(bundle):
    return ET.fromstring(write(bundle, "junit"))


@pytest.mark.parametrize("name", ["image", "tabular", "hostile"])
def test_it_has_the_shape_ci_servers_read(name):
    root = root_of(getattr(bundles, f"{name}_bundle")())
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        assert set(suite.attrib) == SUITE_ATTRIBUTES
        cases = list(suite)
        assert cases
        assert int(suite.get("tests")) == len(cases)
        for kind in ("failure", "error", "skipped"):
            total = sum(case.find(kind) is not None for case in cases)
            assert (
                int(suite.get({"failure": "failures", "error": "errors"}.get(kind, kind))) == total
            )
        for case in cases:
            assert {"classname", "name", "time"} <= set(case.attrib)
            assert {child.tag for child in case} <= CASE_CHILDREN
            results = [child.tag for child in case if child.tag != "system-out"]
            assert len(results) <= 1
            assert [child.tag for child in case][: len(results)] == results
    for kind in ("tests", "failures", "errors", "skipped"):
        assert int(root.get(kind)) == sum(int(suite.get(kind)) for suite in root)


def test_what_stops_the_release_fails_and_what_is_unknown_errs():
    root = root_of(bundles.image_bundle())
    results = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
        for case in root.iter("testcase")
    }
    assert results["models/ranker.pkl"] == ["failure"]
    assert results["models/old.pt"] == ["error"]
    assert results["models/cnn.safetensors"] == []
    assert results["meets the bug bar"] == ["failure"]
    assert results["membership-inference against digits"] == ["skipped"]
    assert results["evasion-apgd-ce linf eps=0.1 on torch:model.py:build"] == []


def test_a_run_that_stopped_is_an_error():
    root = root_of(Bundle(run=bundles.run_record(state="failed")))
    assert root.get("errors") == "1"


def test_waived_findings_do_not_fail():
    bundle = bundles.image_bundle()
    waived = dict.fromkeys((one.fingerprint for one in bundle.findings), "accepted")
    verdicts = tuple(one for one in bundle.verdicts if one.question != "meets-the-bar")
    root = root_of(bundle._replace(waived=waived, verdicts=verdicts))
    assert root.get("failures") == "0"


def test_names_that_xml_cannot_carry_are_shown_escaped():
    text = write(bundles.hostile_bundle(), "junit").decode()
    assert "\\u0000" in text
    assert "\\u001b[31m" in text
    assert "<script" not in text


def test_its_form_is_the_approved_one(approved):
    approved("image.xml", write(bundles.image_bundle(), "junit").decode())
