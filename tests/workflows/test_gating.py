"""gate as a job: kept runs are judged, a baseline is accepted and compared with."""

import pytest

from casemate.errors import UsageError
from casemate.workflows import config, gating
from casemate.workflows.assess import assess
from casemate.workflows.job import open_workspace


def test_a_kept_run_gets_the_verdict_it_got_before(assessed):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        gated = gating.gate_run(workspace.run(), workspace, loaded)
    assert gated.verdict.answer == "yes"
    assert gated.exit_code == 0


def test_an_accepted_baseline_holds_and_a_weaker_model_fails_against_it(assessed):
    import torch

    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        path, made = gating.accept(workspace.run(), workspace, loaded, reason="first", by="me")
    assert path.name == "casemate-baseline.json"
    assert made.measures
    same = assess(minutes=0.2)
    assert same.exit_code == 0
    state = torch.load(assessed / "w.pt", weights_only=True)
    noise = torch.randn(10, 64, generator=torch.Generator().manual_seed(0))
    state["1.weight"] += 0.8 * noise
    torch.save(state, assessed / "w.pt")
    worse = assess(minutes=0.2)
    assert worse.verdict.answer == "no"
    assert worse.exit_code == 1


def test_a_run_can_be_compared_with_another_run(assessed):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        first = workspace.run()
        gated = gating.gate_run(first, workspace, loaded, against=first.id)
    assert gated.verdict.answer == "yes"
    assert gated.verdict.measures["regressions"] == 0


@pytest.mark.parametrize("against", ["nothing.json", "run-nothing"])
def test_a_baseline_that_is_not_there_is_a_usage_error(assessed, against):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace, pytest.raises(UsageError):
        gating.gate_run(workspace.run(), workspace, loaded, against=against)


def test_a_baseline_needs_a_reason(assessed):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace, pytest.raises(UsageError, match="reason"):
        gating.accept(workspace.run(), workspace, loaded, reason=" ", by="me")


def test_a_run_that_was_killed_cannot_pass(assessed):
    loaded = config.read()
    with open_workspace(None, loaded) as workspace:
        killed = workspace.resume(workspace.run().id)
        gated = gating.gate_run(killed, workspace, loaded)
    assert gated.verdict.answer == "cannot-tell"
    assert gated.exit_code == 3
