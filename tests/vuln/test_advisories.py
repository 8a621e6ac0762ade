"""The catalog's advisories are whole and agree with their bodies; others are read as they are."""

import json
import re

import jsonschema
import pytest

from casemate.catalog.entries import Advisory, Rule, ThreatKind
from casemate.catalog.loader import ROOT, entries
from casemate.errors import FormatError, UsageError
from casemate.vuln import advisories
from casemate.vuln.scoring import from_vector
from casemate.vuln.versions import key
from tests.arch.house import REFERENCE

ENTRIES = entries("advisories", Advisory)
SCHEMA = REFERENCE / "schemas" / "osv.json"


def body(entry):
    return json.loads((ROOT / "advisories" / entry.body).read_text(encoding="utf-8"))


def test_there_are_enough_and_none_twice():
    ids = [one.id for one in advisories.published()]
    assert len(ids) >= 25
    assert len(set(ids)) == len(ids)
    aliases = [it for one in advisories.published() for it in one.aliases]
    assert len(set(aliases)) == len(aliases)


@pytest.mark.skipif(not SCHEMA.is_file(), reason="no OSV schema on this machine")
def test_bodies_are_valid_by_the_published_schema():
    check = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    faults = [
        (one.id, it.message) for one in ENTRIES.values() for it in check.iter_errors(body(one))
    ]
    assert faults == []


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda one: one.id)
def test_an_entry_agrees_with_its_body(entry):
    osv = body(entry)
    assert entry.body == f"{entry.id}.json"
    assert entry.threat in entries("threats", ThreatKind)
    assert f"ghsa:{osv['id']}" in entry.refs
    assert {f"cve:{it}" for it in osv.get("aliases", ())} == {
        ref for ref in entry.refs if ref.startswith("cve:")
    }
    named = {one["package"]["purl"] for one in osv["affected"]}
    assert {one for one in entry.affects if one.startswith("pkg:")} == named
    rules = {one[5:] for one in entry.affects if one.startswith("rule:")}
    assert rules <= set(entries("rules", Rule))
    for one in osv["affected"]:
        for events in one["ranges"]:
            for event in events["events"]:
                ((kind, version),) = event.items()
                assert kind == "introduced" or key(version) is not None
    for one in osv.get("severity", ()):
        assert from_vector(one["score"]).value is not None


def test_no_body_lies_beside_without_its_entry():
    bodies = {path.stem for path in (ROOT / "advisories").glob("*.json")}
    assert bodies == set(ENTRIES)


def test_others_are_read_from_a_file_or_a_folder(tmp_path):
    given = {
        "id": "PYSEC-2099-1",
        "modified": "2099-01-01T00:00:00Z",
        "summary": "a hole",
        "affected": [
            {"package": {"ecosystem": "PyPI", "name": "My_Pkg"}, "versions": ["1.0"],
             "ranges": [{"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]}]},
            {"package": {"ecosystem": "npm", "name": "other"}, "versions": ["1.0"]},
        ],
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(given))
    withdrawn = {**given, "id": "PYSEC-2099-2", "withdrawn": "2099-01-02T00:00:00Z"}
    (tmp_path / "b.json").write_text(json.dumps(withdrawn))
    (found,) = advisories.of_folder(tmp_path)
    assert (found.id, found.packages[0].name) == ("PYSEC-2099-1", "my-pkg")
    assert found.packages[0].versions == {"1.0"}
    assert advisories.of_folder(tmp_path / "a.json") == [found]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": 3}', '{"id": "x", "affected": 1}'])
def test_what_is_no_advisory_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=re.escape("a.json")):
        advisories.of_folder(tmp_path)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(UsageError):
        advisories.of_folder(tmp_path / "none")
    with pytest.raises(UsageError):
        advisories.of_folder(tmp_path)
