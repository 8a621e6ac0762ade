from datetime import date

import pytest

from casemate.gate.bar import read_bar
from casemate.gate.judge import is_incomplete, judge
from casemate.gate.waivers import Waiver
from tests.gate.made import FILE, MODEL, finding, trial, verdict
from tests.gate.test_baseline import accepted

TODAY = date(2026, 11, 20)
MOSTLY = [True] * 90 + [False] * 10
LESS = [True] * 75 + [False] * 25


def ruling(findings=(), trials=(), verdicts=(), *, bar=None, baseline=None, waivers=(), **more):
    return judge(
        findings,
        trials,
        verdicts,
        bar=bar or read_bar(),
        baseline=baseline,
        waivers=waivers,
        today=TODAY,
        target=FILE,
        **more,
    )


def own_bar(tmp_path, text):
    (tmp_path / "bar.toml").write_text(text)
    return read_bar("bar.toml", root=tmp_path)


def test_nothing_looked_at_is_not_a_pass():
    assert ruling().answer == "cannot-tell"


def test_a_clean_file_meets_the_bar_and_says_what_was_not_judged():
    said = ruling(verdicts=[verdict("yes")])
    assert said.answer == "yes"
    assert any("no baseline is accepted yet" in reason for reason in said.reasons)


def test_a_critical_artifact_finding_fails_out_of_the_box_accepted_or_not():
    bad = finding("critical")
    said = ruling([bad], verdicts=[verdict("no")])
    assert said.answer == "no"
    assert said.rests_on == (bad.fingerprint,)
    assert bad.fingerprint in said.reasons[0]
    assert ruling([bad], verdicts=[verdict("no")], baseline=accepted([bad])).answer == "no"


def test_a_weak_model_passes_out_of_the_box():
    """How robust a model must be is for its owner to say."""
    weak = trial([False] * 100)
    shown = finding("important", "evasion-pgd linf", MODEL, weak.id, "evasion-pgd")
    assert ruling([shown], [weak]).answer == "yes"
    assert ruling([shown], [weak], bar=read_bar("ml-bug-bar")).answer == "no"


def test_a_finding_the_baseline_does_not_have_fails():
    old, new = finding("important", "old"), finding("important", "new")
    said = ruling([old, new], baseline=accepted([old]))
    assert said.answer == "no"
    assert said.rests_on == (new.fingerprint,)
    assert "not in the accepted baseline" in said.reasons[0]
    assert ruling([old], baseline=accepted([old, new])).answer == "yes"
    assert ruling([old], baseline=accepted([old, new])).measures["gone"] == 1


def test_a_new_finding_below_the_bar_is_counted_and_passes():
    said = ruling([finding("low", "new")], baseline=accepted())
    assert (said.answer, said.measures["new"]) == ("yes", 1)


def test_a_regression_fails_and_names_the_trial():
    said = ruling(trials=[trial(LESS)], baseline=accepted(trials=[trial(MOSTLY)]))
    assert said.answer == "no"
    assert trial(LESS).id in said.rests_on
    assert said.measures["regressions"] == 1


def test_what_the_baseline_measured_and_the_run_did_not_cannot_be_told():
    said = ruling(verdicts=[verdict()], baseline=accepted(trials=[trial(MOSTLY)]))
    assert said.answer == "cannot-tell"
    assert "did not try it" in said.reasons[0]


def test_a_failure_beats_what_cannot_be_told_and_both_are_said():
    said = ruling([finding()], baseline=accepted(trials=[trial(MOSTLY)]))
    assert said.answer == "no"
    assert any("cannot be told" in reason for reason in said.reasons)


@pytest.mark.parametrize("state", ["interrupted", "failed", "running-out"])
def test_an_unfinished_attack_is_never_a_pass_where_it_was_needed(state, tmp_path):
    if state == "running-out":
        assert ruling(trials=[trial(MOSTLY, state="budget-spent")]).answer == "yes"
        return
    part = trial(MOSTLY, state=state)
    assert ruling(trials=[part], bar=read_bar("ml-bug-bar")).answer == "cannot-tell"
    assert ruling(trials=[part], baseline=accepted()).answer == "cannot-tell"
    said = ruling(trials=[part])
    assert any(f"is {state}" in reason for reason in said.reasons)


def test_a_file_not_read_to_its_end_is_not_a_pass():
    for part in (
        verdict("cannot-tell", reasons=("truncated",)),
        verdict("no", bytes_refused=12, reasons=("found something", "12 bytes refused")),
    ):
        assert is_incomplete(part)
        said = ruling(verdicts=[part])
        assert said.answer == "cannot-tell"
        assert "could not be read to its end" in said.reasons[0]


def test_a_file_not_read_to_its_end_is_a_note_where_artifacts_are_not_asked_for(tmp_path):
    bar = own_bar(tmp_path, "regression = 0.0\n")
    part = verdict("cannot-tell", reasons=("truncated",))
    assert ruling(trials=[trial(MOSTLY)], verdicts=[part], bar=bar).answer == "yes"


def test_a_file_not_read_to_its_end_can_be_accepted_by_waiving_all_that_was_found_in_it():
    part = verdict("no", bytes_refused=12, reasons=("truncated",))
    found = [finding("moderate", "truncated"), finding("low", "odd")]
    both = [Waiver(f.fingerprint, "vendor file", date(2027, 1, 1)) for f in found]
    assert ruling(found, verdicts=[part], waivers=both[:1]).answer == "cannot-tell"
    said = ruling(found, verdicts=[part], waivers=both)
    assert said.answer == "yes"
    assert any("accepted by waiver" in reason for reason in said.reasons)


def test_a_file_not_read_to_its_end_can_be_accepted_by_its_digest():
    part = verdict("cannot-tell", digest=FILE.digest, reasons=("truncated",))
    by_digest = Waiver(FILE.digest, "vendor file", date(2027, 1, 1))
    assert ruling(verdicts=[part], waivers=[by_digest]).answer == "yes"
    assert ruling([finding()], verdicts=[part], waivers=[by_digest]).answer == "no"
    over = by_digest._replace(expires=date(2026, 1, 1))
    assert ruling(verdicts=[part], waivers=[over]).answer == "cannot-tell"


def test_a_waiver_holds_until_its_last_day_then_the_finding_counts_again():
    bad = finding()
    live = Waiver(bad.fingerprint, "being replaced", date(2026, 12, 1))
    said = ruling([bad], verdicts=[verdict("no")], waivers=[live])
    assert (said.answer, said.measures["waived"]) == ("yes", 1)
    dead = live._replace(expires=date(2026, 11, 19))
    said = ruling([bad], verdicts=[verdict("no")], waivers=[dead])
    assert said.answer == "no"
    assert any("expired on 2026-11-19 (being replaced)" in reason for reason in said.reasons)


@pytest.mark.usefixtures("_known_attack")
def test_a_floor_of_the_users_own(tmp_path):
    bar = own_bar(tmp_path, "robust = { evasion-pgd = 0.8 }\n")
    assert ruling(trials=[trial(MOSTLY)], bar=bar).answer == "yes"
    said = ruling(trials=[trial(LESS)], bar=bar)
    assert said.answer == "no"
    assert "75.0% (0.0% to 100.0%), the bar asks 80.0%" in said.reasons[0]
    assert ruling(verdicts=[verdict()], bar=bar).answer == "cannot-tell"
    assert ruling(trials=[trial(LESS, state="failed")], bar=bar).answer == "cannot-tell"


@pytest.mark.usefixtures("_known_attack")
def test_a_floor_at_one_radius(tmp_path):
    bar = own_bar(tmp_path, 'robust = { "evasion-pgd@0.1" = 0.8 }\n')
    both = [trial(MOSTLY, eps=0.1), trial([False] * 10, eps=0.5)]
    assert ruling(trials=both, bar=bar).answer == "yes"
    assert ruling(trials=both[1:], bar=bar).answer == "cannot-tell"


def test_a_run_that_did_not_end_cannot_pass_and_can_fail():
    said = ruling(verdicts=[verdict()], unfinished=["the run did not come to its end: Ctrl-C"])
    assert said.answer == "cannot-tell"
    assert said.reasons[0].endswith("Ctrl-C")
    assert ruling([finding()], unfinished=["it stopped"]).answer == "no"


def test_many_findings_are_counted_not_recited():
    said = ruling([finding(subject=f"os.n{i}") for i in range(500)])
    assert len(said.reasons) < 30
    assert len(said.rests_on) == 500
    assert any("and 480 findings more" in reason for reason in said.reasons)


def test_the_same_records_give_the_same_verdict_in_any_order():
    several = [finding(subject=f"os.n{i}") for i in range(9)]
    assert ruling(several) == ruling(several[::-1])


@pytest.fixture
def _known_attack():
    from casemate.catalog.entries import Attack
    from casemate.catalog.loader import entries

    if "evasion-pgd" not in entries("attacks", Attack):
        pytest.skip("the catalog has no evasion-pgd")
