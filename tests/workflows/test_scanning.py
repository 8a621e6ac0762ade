"""scan as a job: exit codes, waivers, trust by digest."""

import hashlib
import pickle

import pytest

from casemate.records.severity import Severity
from casemate.workflows import config, scanning
from casemate.workflows.job import open_workspace


class Runs:
    def __reduce__(self):
        return eval, ("1",)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Runs()))
    (tmp_path / "odd.bin").write_bytes(b"\x13\x37" * 40)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "code"), [(["good.pkl"], 0), (["odd.bin"], 3), (["bad.pkl"], 1), (["."], 1)]
)
def test_exit_codes(folder, names, code):
    assert scanning.scan_paths(names, config.read()).exit_code == code


def test_findings_below_the_bar_do_not_fail(folder):
    done = scanning.scan_paths(["odd.bin"], config.read(), bar=Severity.LOW)
    assert done.exit_code == 1


def test_a_waiver_accepts_a_finding_and_an_expired_one_does_not(folder):
    found = scanning.scan_paths(["bad.pkl"], config.read()).bundle.findings
    text = "".join(
        f"[[waiver]]\nfingerprint = '{f.fingerprint}'\nreason = 'a test'\nexpires = %s\n"
        for f in found
    )
    (folder / "casemate.toml").write_text(text.replace("%s", "2999-01-01"))
    done = scanning.scan_paths(["bad.pkl"], config.read())
    assert done.exit_code == 0
    assert set(done.bundle.waived.values()) == {"a test"}
    (folder / "casemate.toml").write_text(text.replace("%s", "2020-01-01"))
    late = scanning.scan_paths(["bad.pkl"], config.read())
    assert late.exit_code == 1
    assert "expired on 2020-01-01" in late.bundle.run.notes[0]


def test_trust_by_digest_covers_unknown_imports_but_no_known_danger(folder):
    body = b"\x80\x02cmystery.package\nThing\n)\x81."
    (folder / "unknown.pkl").write_bytes(body)
    assert scanning.scan_paths(["unknown.pkl"], config.read()).exit_code == 1
    bad = (folder / "bad.pkl").read_bytes()
    waivers = "".join(
        f"[[waiver]]\nfingerprint = 'sha256:{hashlib.sha256(b).hexdigest()}'\n"
        "reason = 'built here'\nexpires = 2999-01-01\n"
        for b in (body,)
    )
    (folder / "casemate.toml").write_text(waivers)
    assert scanning.scan_paths(["unknown.pkl"], config.read()).exit_code == 0
    (folder / "unknown.pkl").write_bytes(bad)
    assert scanning.scan_paths(["unknown.pkl"], config.read()).exit_code == 1


def test_the_run_is_kept(folder):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        done = scanning.scan_paths(["."], loaded, workspace=workspace)
        assert workspace.run().id == done.bundle.run.id
    paths = {verdict.target.uri for verdict in done.bundle.verdicts}
    assert not any(path.startswith(".casemate") for path in paths)
