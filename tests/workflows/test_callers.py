"""What is written for others holds no name of who took part."""

import msgspec
import pytest

from casemate.errors import UsageError
from casemate.export.csaf import Publisher
from casemate.records.incident import Suspect, Triage
from casemate.store.vulnerabilities import VulnerabilityBook
from casemate.workflows import affected, callers, vulnerabilities
from tests.vuln.test_facts import detection
from tests.workflows.test_vulnerabilities import add, keep, loaded, opened, workspace

__all__ = ["loaded", "workspace"]
NAME = "evilmax"
MESSAGE = f"'{NAME}' searches the boundary of fraud"


def case_of(workspace):
    keep(workspace, detection(message=MESSAGE, principals=(NAME, "evilmoe")))
    suspect = Suspect(principal=NAME, queries=3, began=1, ended=2, confidence="firm", because="-")
    triage = Triage(
        assessment="attack", confidence="firm", suspects=(suspect,), models=("fraud",),
        reasons=(MESSAGE, "evilmoe helps"),
    )  # fmt: skip
    return opened(
        workspace, title=f"Adversarial perturbation of fraud by {NAME}", triage=triage,
        sources=("det-1",), closing=f"{NAME} was stopped", facts={"note": f"{NAME} called"},
    )  # fmt: skip


def old(workspace, ident):
    """Give a weakness the words that it was kept with before, and a note about them."""
    words = {"title": f"of fraud by {NAME}", "summary": MESSAGE, "remedy": f"block {NAME}"}
    VulnerabilityBook(workspace).change(
        ident,
        lambda one: msgspec.structs.replace(one, notes=(*one.notes, f"by {NAME}"), **words),
    )


@pytest.mark.parametrize("from_", ["case", "detection"])
def test_a_weakness_is_made_without_names(loaded, workspace, from_):
    case = case_of(workspace)
    ident = case.id if from_ == "case" else "det-1"
    one = add(loaded, workspace, from_=ident, threat="adversarial-perturbation").vulnerability
    assert b"evilm" not in msgspec.json.encode(one)
    assert "a caller searches the boundary of fraud" in one.summary.replace("'", "")
    assert "fraud" in one.title


@pytest.mark.parametrize("form", ["csaf", "osv", "avid", "stix"])
@pytest.mark.parametrize("from_", ["case", "detection"])
def test_no_form_of_a_weakness_names_a_caller(loaded, workspace, form, from_):
    case = case_of(workspace)
    ident = case.id if from_ == "case" else "det-1"
    one = add(loaded, workspace, from_=ident, threat="adversarial-perturbation").vulnerability
    old(workspace, one.id)
    written = vulnerabilities.export(workspace, one.id, form, principals=form != "stix")
    assert b"evilm" not in written.lower()
    assert b"caller 1" in written


@pytest.mark.parametrize("form", ["stix", "ocsf"])
def test_a_case_names_callers_only_when_asked_to(loaded, workspace, form):
    case = case_of(workspace)
    one = add(loaded, workspace, from_=case.id).vulnerability
    old(workspace, one.id)
    written = vulnerabilities.export(workspace, case.id, form, principals=False)
    assert b"evilm" not in written.lower()
    assert b"Adversarial perturbation of fraud by caller 1" in written
    assert NAME.encode() in vulnerabilities.export(workspace, case.id, form)


def test_vex_names_no_caller(loaded, workspace):
    case = case_of(workspace)
    one = add(loaded, workspace, from_=case.id).vulnerability
    old(workspace, one.id)
    found = affected.affected(loaded, workspace)
    assert one.id in {it.vulnerability for it in found.applies}
    written = affected.vex(found, Publisher())
    assert b"evilm" not in written.lower()
    assert one.id.encode() in written


def test_a_detection_that_is_gone_leaves_the_suspects(workspace):
    case = msgspec.structs.replace(case_of(workspace), sources=("det-gone",))
    assert callers.of_case(workspace, case) == (NAME,)
    with pytest.raises(UsageError):
        VulnerabilityBook(workspace).get("cmv-2026-0001")
