"""A weakness in OSV's form is valid, and a package keeps its range."""

import json

import jsonschema
import pytest

from casemate.export import osv
from casemate.vuln import advisories
from tests.arch.house import REFERENCE
from tests.export.weaknesses_made import WEAKNESSES, package, weakness

SCHEMA = REFERENCE / "schemas" / "osv.json"


@pytest.mark.skipif(not SCHEMA.is_file(), reason="no OSV schema on this machine")
@pytest.mark.parametrize("name", WEAKNESSES)
def test_it_is_valid(name):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads(osv.write(WEAKNESSES[name]())))


def test_a_package_can_be_looked_for_with_it(tmp_path):
    path = tmp_path / "one.json"
    path.write_bytes(osv.write(package()))
    (found,) = advisories.of_folder(path)
    assert found.packages[0].name == "torch"
    assert {(it.kind, it.version) for it in found.packages[0].ranges[0]} == {
        ("introduced", "2.0.0"),
        ("fixed", "2.6.0"),
    }


def test_a_model_keeps_its_name_and_digests():
    (thing,) = osv.osv(weakness())["affected"]
    assert thing["database_specific"]["casemate"]["name"] == "fraud"
    assert "package" not in thing
    assert osv.osv(weakness())["aliases"] == ["CVE-2026-99999"]
    assert "withdrawn" in osv.osv(weakness(state="rejected"))
