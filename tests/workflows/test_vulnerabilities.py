"""Weaknesses are tracked from what is on record, once, scored, moved on and written for others."""

import json
import pickle

import pytest

from casemate.errors import UsageError
from casemate.records.detection import Detection
from casemate.records.incident import Action, Suspect, Triage
from casemate.records.make import make, new_id
from casemate.records.run import Run
from casemate.store.cases import CaseBook
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.workflows import config, vulnerabilities, weaknesses
from casemate.workflows.job import open_workspace
from casemate.workflows.scanning import scan_paths
from tests.export.weaknesses_made import incident
from tests.gate.made import trial
from tests.vuln.test_facts import ENDPOINT, detection

CONFIG = f"""
version = 1
[[component]]
name = "fraud"
kind = "endpoint"
uri = "{ENDPOINT.uri}"
callers = ["customers"]
assets = ["money"]
"""


class Runs:
    def __reduce__(self):
        import os

        return os.system, ("echo",)


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "casemate.toml").write_text(CONFIG)
    return config.read(tmp_path / "casemate.toml")


@pytest.fixture
def workspace(loaded):
    with open_workspace(None, loaded) as opened:
        yield opened


def keep(workspace, *records):
    run = make(Run, id=new_id("run"), verb="test", started="2026-11-01T00:00:00Z")
    workspace.begin(run)
    workspace.add(run.id, *records)


def opened(workspace, **more):
    case = incident(vulnerabilities=(), **more)
    action = make(Action, case=case.id, number=0, at=case.opened, author="ada", kind="opened",
                  text="opened")  # fmt: skip
    return CaseBook(workspace).open(2026, lambda ident: (case, action))


def add(loaded, workspace, **more):
    return vulnerabilities.add(loaded, workspace, by="ada", **more)


def test_a_finding_of_a_real_scan_is_tracked_once(loaded, workspace):
    path = loaded.root / "bad.pkl"
    path.write_bytes(pickle.dumps(Runs()))
    (seen,) = scan_paths([path], loaded, workspace=workspace).bundle.findings
    first = add(loaded, workspace, from_=seen.fingerprint)
    again = add(loaded, workspace, from_=seen.fingerprint)
    assert (first.new, again.new) == (True, False)
    assert again.vulnerability == first.vulnerability
    one = first.vulnerability
    assert (one.id[:4], one.state, one.threat) == ("cmv-", "confirmed", "ml-supply-chain")
    assert one.affected[0].digests == (seen.target.digest,)
    assert one.proof == (seen.fingerprint,)
    assert [it.scheme for it in one.scores] == ["bug-bar", "cvss-4.0", "cvss-3.1", "ssvc"]
    separate = add(loaded, workspace, from_=seen.fingerprint, separate=True)
    assert separate.vulnerability.id != one.id


def test_a_trial_brings_its_figures_and_the_owner_what_is_at_stake(loaded, workspace):
    made = trial([True, False, False, False], target=ENDPOINT, attack="evasion-hopskipjump")
    keep(workspace, made)
    one = add(loaded, workspace, from_=made.id).vulnerability
    assert one.facts.success == 0.75
    assert one.facts.authenticated is True
    assert one.facts.assets == ("money",)
    assert one.scores[0].level == "critical"


def test_more_proof_makes_it_worse_and_never_better(loaded, workspace):
    weak = trial([True, True, True, False], target=ENDPOINT, eps=0.1)
    strong = trial([False, False, False, False], target=ENDPOINT, eps=0.2)
    keep(workspace, weak, strong)
    first = add(loaded, workspace, from_=strong.id).vulnerability
    then = add(loaded, workspace, from_=weak.id).vulnerability
    assert then.id == first.id
    assert then.facts.success == 1.0
    assert then.proof == (strong.id, weak.id)
    assert then.notes[-1].endswith(f"seen again: {weak.id}")


def test_a_fixed_one_that_shows_again_is_confirmed_again(loaded, workspace):
    made = trial([False], target=ENDPOINT)
    keep(workspace, made)
    one = add(loaded, workspace, from_=made.id).vulnerability
    vulnerabilities.move(workspace, one.id, "fixed", by="bob", why="retrained", fixed="4")
    fixed = VulnerabilityBook(workspace).get(one.id)
    assert (fixed.state, fixed.affected[0].fixed) == ("fixed", "4")
    assert add(loaded, workspace, from_=made.id).vulnerability.state == "confirmed"


def test_a_detection_and_a_case_know_that_it_is_used(loaded, workspace):
    seen = detection(id=new_id("det"))
    assert isinstance(seen, Detection)
    keep(workspace, seen)
    one = add(loaded, workspace, from_=seen.id).vulnerability
    assert (one.state, one.facts.exploited) == ("reported", "active")
    case = opened(workspace, sources=(seen.id, "det-gone"))
    other = add(loaded, workspace, from_=case.id).vulnerability
    assert other.id == one.id
    assert case.id in other.proof
    kept = CaseBook(workspace).get(case.id)
    assert kept.vulnerabilities == (one.id,)
    assert CaseBook(workspace).log(case.id).actions[-1].kind == "scored"
    add(loaded, workspace, from_=case.id)
    assert len(CaseBook(workspace).log(case.id).actions) == 2


def test_a_report_in_words_says_what_it_knows(loaded, workspace):
    with pytest.raises(UsageError, match="type"):
        add(loaded, workspace, affected=["fraud"])
    with pytest.raises(UsageError, match="something"):
        add(loaded, workspace, threat="model-stealing")
    one = add(
        loaded, workspace, threat="model-stealing", affected=["fraud"], title="a copy",
        given={"success": "92%", "access": "network", "hurt": "owner, users", "targeted": "no"},
    ).vulnerability  # fmt: skip
    assert one.facts.success == 0.92
    assert one.facts.hurt == ("owner", "users")
    assert one.facts.targeted is False
    assert one.title == "a copy"


@pytest.mark.parametrize(
    "given",
    [{"succes": "1"}, {"success": "2"}, {"success": "nan"}, {"access": "sea"},
     {"targeted": "perhaps"}, {"exploited": "often"}, {"queries": "-3"}],
)  # fmt: skip
def test_what_is_no_fact_is_refused(loaded, workspace, given):
    with pytest.raises(UsageError):
        add(loaded, workspace, threat="model-stealing", affected=["fraud"], given=given)
    assert VulnerabilityBook(workspace).all() == []


def test_new_facts_score_it_again_and_unknown_takes_one_away(loaded, workspace):
    one = add(loaded, workspace, threat="model-stealing", affected=["m"], given={"success": "0.9"})
    ident = one.vulnerability.id
    worse = vulnerabilities.score(workspace, ident, by="bob", given={"exploited": "active"})
    assert worse.scores[0].level == "critical"
    assert worse.notes[-1].endswith("bob: scored with exploited=active")
    gone = vulnerabilities.score(workspace, ident, by="bob", given={"success": "unknown"})
    assert gone.facts.success is None
    assert vulnerabilities.score(workspace, ident, by="bob") == gone


def test_duplicates_name_the_other_and_the_list_has_the_worst_first(loaded, workspace):
    low = add(loaded, workspace, threat="membership-inference", affected=["m"]).vulnerability
    high = add(loaded, workspace, threat="ml-supply-chain", affected=["m"]).vulnerability
    assert [one.id for one in vulnerabilities.listed(workspace)] == [high.id, low.id]
    moved = vulnerabilities.move(workspace, low.id, "duplicate", by="a", why="same", of=high.id)
    assert moved.duplicate_of == high.id
    assert vulnerabilities.listed(workspace, state="duplicate") == [moved]


def test_a_report_in_words_has_seen_nothing(loaded, workspace):
    told = weaknesses.seen(loaded, workspace, None)
    assert (told.threat, told.proof, told.affected, told.sure) == (None, (), (), False)


def test_what_is_not_there_is_said(loaded, workspace):
    for from_ in ("fp-00000000", "trial-none", "det-none", "case-2026-0009", "w-0:1"):
        with pytest.raises(UsageError):
            add(loaded, workspace, from_=from_)


@pytest.mark.parametrize("form", ["csaf", "osv", "stix", "avid"])
def test_a_weakness_is_written_for_others(loaded, workspace, form):
    one = add(loaded, workspace, threat="model-stealing", affected=["fraud"]).vulnerability
    assert one.id in json.dumps(json.loads(vulnerabilities.export(workspace, one.id, form)))
    with pytest.raises(UsageError, match="case"):
        vulnerabilities.export(workspace, one.id, "ocsf")


def test_a_case_is_written_with_its_weaknesses(loaded, workspace):
    suspect = Suspect(principal="eve", queries=3, began=1, ended=2, confidence="firm", because="-")
    triage = Triage(assessment="attack", confidence="firm", suspects=(suspect,), models=("fraud",))
    case = opened(workspace, triage=triage, sources=())
    one = add(loaded, workspace, from_=case.id).vulnerability
    bundle = json.loads(vulnerabilities.export(workspace, case.id, "stix"))
    kinds = {it["type"] for it in bundle["objects"]}
    assert {"incident", "vulnerability", "indicator", "report"} <= kinds
    hidden = vulnerabilities.export(workspace, case.id, "stix", principals=False)
    assert b"eve" not in hidden
    body = json.loads(vulnerabilities.export(workspace, case.id, "ocsf"))
    assert body["unmapped"]["casemate"]["vulnerabilities"] == [one.id]
    with pytest.raises(UsageError, match="csaf"):
        vulnerabilities.export(workspace, case.id, "csaf")
