"""Everything that is here is held against everything that is known, and what is open is said."""

import json
import pickle

import pytest

from casemate.export.csaf import Publisher
from casemate.records.edge import Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook
from casemate.vuln import inventory
from casemate.workflows import config, vulnerabilities
from casemate.workflows.affected import affected, vex
from casemate.workflows.scanning import scan_paths
from tests.export import csaf_schema
from tests.vuln.test_inventory import installed
from tests.workflows.test_vulnerabilities import ENDPOINT, Runs, add, loaded, workspace

__all__ = ["loaded", "workspace"]


@pytest.fixture
def environment(tmp_path):
    site = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    installed(site, "torch", "2.5.1")
    installed(site, "keras", "3.15.0")
    return tmp_path / "venv"


def statuses(found, name):
    return {one.product.status for one in found.applies if one.product.name == name}


def test_an_environment_is_answered_for_whole(loaded, workspace, environment):
    found = affected(loaded, workspace, environments=[environment])
    assert found.exit_code == 1
    assert statuses(found, "torch") == {"affected", "fixed"}
    assert "affected" not in statuses(found, "keras")
    assert [one.product.status for one in found.applies][:2] == ["affected", "affected"]
    assert any("2 packages" in one for one in found.looked_at)


def test_what_cannot_be_told_is_exit_code_3(loaded, workspace, tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("torch\n")
    found = affected(loaded, workspace, requirements=[path])
    assert found.exit_code == 3
    assert statuses(found, "torch") == {"under-investigation"}


def test_nothing_known_and_all_told_is_exit_code_0(loaded, workspace, tmp_path):
    installed(tmp_path, "numpy", "2.0.0")
    found = affected(loaded, workspace, environments=[tmp_path])
    assert found.exit_code == 0
    assert {one.product.status for one in found.applies} == {"not-affected"}


def test_what_was_not_looked_at_is_never_exit_code_0(loaded, workspace, tmp_path):
    (tmp_path / "requirements.txt").write_text("")
    found = affected(loaded, workspace, requirements=[tmp_path / "requirements.txt"])
    assert found.exit_code == 3
    assert "no package was found" in found.open[0]
    (tmp_path / "models").mkdir()
    found = affected(loaded, workspace, environments=[_empty(tmp_path)],
                     files=[tmp_path / "models"])  # fmt: skip
    assert found.exit_code == 3
    assert found.open == ("no model file was looked at",)


def test_without_a_question_models_and_files_count_too(loaded, workspace, monkeypatch, tmp_path):
    place = inventory.environment(_empty(tmp_path))
    monkeypatch.setattr(inventory, "environment", lambda: place)
    assert affected(loaded, workspace).exit_code == 0
    loaded.path.write_text("version = 1\n")
    found = affected(config.read(loaded.path), workspace)
    assert found.exit_code == 3
    assert found.open == ("no model file was looked at",)


def test_files_models_and_endpoints_are_known_by_content_and_by_name(loaded, workspace):
    path = loaded.root / "bad.pkl"
    path.write_bytes(pickle.dumps(Runs()))
    (seen,) = scan_paths([path], loaded, workspace=workspace).bundle.findings
    one = add(loaded, workspace, from_=seen.fingerprint).vulnerability
    copy = loaded.root / "copy.pkl"
    copy.write_bytes(path.read_bytes())
    node = make(Node, id="mlflow:models/fraud/3", kind="model", name="fraud v3",
                digest=seen.target.digest)  # fmt: skip
    LineageBook(workspace).add([node])
    copied = add(
        loaded,
        workspace,
        threat="model-stealing",
        affected=[ENDPOINT.uri],
        given={"success": "0.9"},
    ).vulnerability
    vulnerabilities.move(workspace, copied.id, "confirmed", by="a", why="tried again")
    found = affected(loaded, workspace, environments=[_empty(loaded.root)], files=[copy])
    told = {(it.vulnerability, it.product.name) for it in found.applies
            if it.product.status == "affected"}  # fmt: skip
    assert told == {
        (one.id, "copy.pkl"),
        (one.id, "fraud v3"),
        (copied.id, ENDPOINT.uri),
    }


def test_a_file_that_could_not_be_read_is_open(loaded, workspace):
    (loaded.root / "what.bin").write_bytes(b"\x93NUMPY" + b"\xff" * 40)
    found = affected(loaded, workspace, environments=[_empty(loaded.root)],
                     files=[loaded.root / "what.bin"])  # fmt: skip
    assert any("what.bin" in one for one in found.open)
    assert found.exit_code == 3


def test_advisories_of_your_own_count_too(loaded, workspace, environment, tmp_path):
    body = {
        "id": "HOUSE-1",
        "modified": "2026-11-01T00:00:00Z",
        "affected": [{"package": {"ecosystem": "PyPI", "name": "keras"}, "versions": ["3.15.0"]}],
    }
    (tmp_path / "house.json").write_text(json.dumps(body))
    found = affected(
        loaded, workspace, environments=[environment], notices=[tmp_path / "house.json"]
    )
    assert ("HOUSE-1", "affected") in {
        (one.vulnerability, one.product.status) for one in found.applies
    }


@pytest.mark.skipif(not csaf_schema.SCHEMA.is_file(), reason="no CSAF schema on this machine")
def test_the_answers_are_valid_vex(loaded, workspace, environment):
    found = affected(loaded, workspace, environments=[environment])
    assert csaf_schema.faults(vex(found, Publisher())) == []


def _empty(folder):
    installed(folder / "environment", "numpy", "2.0.0")
    return folder / "environment"
