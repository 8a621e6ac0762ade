"""The plan fits target, data and time, and names what it leaves out."""

import pytest

from casemate.workflows import config, planning
from casemate.workflows.opening import open_both


@pytest.fixture
def opened(project):
    with open_both(config.read()) as found:
        yield found


def test_what_does_not_fit_is_named_with_the_reason(opened):
    plan = planning.plan(opened.model, opened.data, config.read().config)
    left_out = dict(plan.left_out)
    assert "tabular" in left_out["evasion-tabular"]
    assert "casemate attack" in left_out["evasion-pgd"]
    assert {step.attack.id for step in plan.steps} & {"evasion-apgd-ce", "evasion-square"}


def test_more_time_means_more_inputs_but_never_more_than_wanted(opened):
    plan = planning.plan(opened.model, opened.data, config.read().config)
    sizes = [planning.share(plan.steps, seconds, 1.0).inputs for seconds in (1e-6, 0.01, 1e6)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 10
    assert sizes[-1] == 20


def test_real_costs_correct_the_estimate(opened):
    plan = planning.plan(opened.model, opened.data, config.read().config)
    step = plan.steps[0]._replace(most=10**9)
    once = planning.share([step], 10, 1.0).inputs
    assert planning.share([step], 10, 2.0).inputs == pytest.approx(once / 2, rel=0.01)


def test_skipped_attacks_stay_out(opened, project):
    text = (project / "casemate.toml").read_text()
    (project / "casemate.toml").write_text(
        text.replace("inputs = 20", 'skip = ["evasion-square"]\ninputs = 20')
    )
    plan = planning.plan(opened.model, opened.data, config.read().config)
    assert "evasion-square" not in {step.attack.id for step in plan.steps}
    assert "skip" in dict(plan.left_out)["evasion-square"]


def test_where_time_is_short_the_first_attack_is_tried_in_earnest(opened):
    plan = planning.plan(opened.model, opened.data, config.read().config)
    step = plan.steps[0]._replace(per_input=1.0, most=100)
    enough = planning.share([step, *plan.steps[1:]], 12, 1.0)
    assert enough.inputs == 12
    assert enough.seconds == pytest.approx(12)
