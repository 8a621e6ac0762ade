"""What was not checked is one list, and the exit code follows from it."""

import msgspec
import pytest

from casemate.export.coverage import deciding, exit_of, gaps, is_complete
from casemate.export.report import Bundle
from casemate.records.severity import Severity
from tests.export import bundles


def test_gaps_name_files_threats_and_notes_what_blocks_first():
    found = gaps(bundles.image_bundle())
    assert [gap.blocks for gap in found] == [True, False, False]
    assert found[0].what == "models/old.pt"
    assert found[1].what == "membership-inference against digits"
    assert found[2].why.startswith("Only 200 of 1,000")


@pytest.mark.parametrize("state", ["interrupted", "failed"])
def test_an_attack_that_stopped_makes_the_run_incomplete(state):
    trial = bundles.trial("evasion-pgd", state=state)
    assert exit_of(Bundle(run=bundles.run_record(), trials=(trial,))).code == 3


def test_a_spent_budget_is_an_answer():
    trial = bundles.trial("evasion-pgd", state="budget-spent")
    assert exit_of(Bundle(run=bundles.run_record(), trials=(trial,))).code == 0


def test_refused_bytes_make_a_file_incomplete_whatever_its_answer():
    verdict = bundles.scan_part()[0][0]
    assert is_complete(verdict)
    refused = msgspec.structs.replace(verdict, measures={"bytes_refused": 3})
    assert not is_complete(refused)
    assert not is_complete(msgspec.structs.replace(verdict, reasons=("Incomplete: cut short",)))


def test_without_a_gate_the_bar_is_the_severity_and_waivers_count():
    _, findings = bundles.scan_part()
    bundle = Bundle(run=bundles.run_record(), findings=tuple(findings))
    assert exit_of(bundle).code == 1
    assert deciding(bundle) == {findings[0].fingerprint}
    assert len(deciding(bundle._replace(bar=Severity.MODERATE))) == 2
    waived = bundle._replace(waived={findings[0].fingerprint: "known"})
    assert exit_of(waived).code == 0


def test_findings_beat_incompleteness_and_both_are_kept():
    assert exit_of(bundles.image_bundle()) == (1, True, True)
