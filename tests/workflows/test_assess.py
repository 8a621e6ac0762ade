"""assess: one job from model to verdict; what is done is kept, what fails is told."""

import pickle

import pytest

from casemate.errors import UsageError
from casemate.records.run import Run
from casemate.records.trial import Trial
from casemate.store.workspace import Workspace
from casemate.workflows.assess import assess


def test_an_assessment_scans_attacks_and_judges(project):
    done = assess(minutes=0.2)
    assert done.exit_code == 0
    assert done.verdict.answer == "yes"
    assert {"evasion-fmn", "evasion-apgd-ce"} <= {t.attack for t in done.bundle.trials}
    assert [v.target.uri for v in done.bundle.verdicts] == ["torch:m.py:load", "w.pt", "m.py"]
    assert done.bundle.run.state == "complete"
    assert any(threat.covered_by for threat in done.bundle.threats)
    assert any("not tried" in note for note in done.bundle.run.notes)
    with Workspace.open(project / ".casemate", create=False) as workspace:
        kept = workspace.run("latest")
        assert isinstance(kept, Run)
        assert len(workspace.records(kept.id, Trial)) == len(done.bundle.trials)


def test_a_second_run_takes_what_is_unchanged(once, assessed):
    _, first = once
    second = assess(minutes=0.2)
    again = {t.id for t in first.bundle.trials} & {t.id for t in second.bundle.trials}
    assert again
    (assessed / "w.pt").write_bytes((assessed / "w.pt").read_bytes())
    fresh = assess(minutes=0.2, fresh=True)
    assert not {t.id for t in first.bundle.trials} & {t.id for t in fresh.bundle.trials}


def test_an_interrupt_keeps_what_was_found_and_says_so(short):
    def stop(what, done, total):
        if "attack 2" in what:
            raise KeyboardInterrupt

    done = assess(minutes=0.2, progress=stop)
    assert done.exit_code == 3
    assert done.bundle.run.state == "interrupted"
    assert done.bundle.trials
    resumed = assess(minutes=0.2)
    assert done.bundle.trials[0].id in {t.id for t in resumed.bundle.trials}
    assert resumed.exit_code == 0


class Runs:
    def __reduce__(self):
        return eval, ("1 + 1",)


def test_a_hostile_model_file_is_reported_and_never_opened(project):
    (project / "evil.joblib").write_bytes(pickle.dumps(Runs()))
    text = (project / "casemate.toml").read_text()
    (project / "casemate.toml").write_text(text.replace("torch:m.py:load", "sklearn:evil.joblib"))
    done = assess(minutes=0.2)
    assert done.exit_code == 1
    assert done.verdict.answer == "no"
    assert not done.bundle.trials
    assert any("not attacked" in note for note in done.bundle.run.notes)


def test_a_model_that_does_not_load_is_one_line(project):
    (project / "m.py").write_text("def load():\n    raise OSError('no weights')\n")
    done = assess(minutes=0.2)
    assert done.exit_code == 3
    assert any("no weights" in note for note in done.bundle.run.notes)


def test_without_a_model_there_is_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no model"):
        assess()
