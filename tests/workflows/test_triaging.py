"""The first report of a case: which playbook, which type, and cases without events."""

import pytest

from casemate.store.cases import CaseBook
from casemate.workflows import cases, triaging


@pytest.mark.parametrize(
    ("threat", "assessment", "playbook"),
    [
        ("model-stealing", "attack", "respond-model-stealing"),
        ("data-poisoning", "cannot-tell", "respond-data-poisoning"),
        (None, "drift", "respond-drift"),
        (None, "cannot-tell", "respond-unknown"),
        (None, "attack", "respond-unknown"),
    ],
)
def test_each_type_has_its_playbook(threat, assessment, playbook):
    assert triaging.playbook_for(threat, assessment) == playbook


def test_looked_at_again_it_is_the_same(scene):
    with scene.open() as workspace:
        before = CaseBook(workspace).get("latest")
        after = triaging.triage(scene.loaded, workspace, before, by="bo")
        assert after.triage == before.triage
        assert after.title == before.title
        assert [one.kind for one in CaseBook(workspace).log(before.id).actions].count(
            "triaged"
        ) == 2


def test_a_case_of_a_finding_says_what_the_finding_says(scene):
    from casemate.records.finding import Finding
    from casemate.workflows.job import open_workspace
    from casemate.workflows.scanning import scan_paths

    bad = scene.root / "bad.pkl"
    bad.write_bytes(b"cos\nsystem\n(S'id'\ntR.")
    with open_workspace(scene.root / ".casemate", scene.loaded) as workspace:
        done = scan_paths([bad], scene.loaded, workspace=workspace)
        finding = workspace.records(done.bundle.run.id, Finding)[0]
        made = cases.open_case(
            scene.loaded, workspace, [finding.fingerprint], by="ana", copy="later"
        )
    assert made.threat == "ml-supply-chain"
    assert finding.message in made.triage.reasons[0]
    assert made.severity == finding.severity
