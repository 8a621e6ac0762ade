"""The same facts give the same scores, worse facts no lower ones, and every choice is explained."""

import msgspec
import pytest
from cvss import CVSS3, CVSS4

from casemate.catalog.entries import ThreatKind
from casemate.catalog.loader import entries
from casemate.errors import UsageError
from casemate.records.severity import Severity
from casemate.records.vulnerability import Facts
from casemate.vuln import bug_bar
from casemate.vuln.limits import choices
from casemate.vuln.metrics import metrics
from casemate.vuln.scoring import from_vector, scores
from casemate.vuln.ssvc import decide

THREATS = sorted(entries("threats", ThreatKind))
MEASURED = Facts(
    success=0.9,
    queries=400,
    access="network",
    knowledge="labels",
    authenticated=True,
    interaction=False,
    exploited="proof-of-concept",
)


def by_scheme(threat, facts):
    return {one.scheme: one for one in scores(threat, facts)}


def test_every_row_of_the_bug_bar_has_an_impact():
    assert set(THREATS) <= set(choices().impact)


@pytest.mark.parametrize("threat", THREATS)
def test_four_schemes_answer_and_the_library_agrees_with_both_numbers(threat):
    for facts in (Facts(), MEASURED):
        found = by_scheme(threat, facts)
        assert list(found) == ["bug-bar", "cvss-4.0", "cvss-3.1", "ssvc"]
        four, three = found["cvss-4.0"], found["cvss-3.1"]
        assert CVSS4(four.vector).base_score == four.value
        assert float(CVSS3(three.vector).scores()[2]) == three.value
        assert CVSS4(four.vector).severity.lower() == four.level
        assert scores(threat, facts) == scores(threat, facts)


@pytest.mark.parametrize("threat", THREATS)
@pytest.mark.parametrize(
    ("field", "mild", "bad"),
    [
        ("success", 0.01, 0.99),
        ("queries", 1e6, 10),
        ("authenticated", True, False),
        ("interaction", True, False),
        ("mitigated", True, False),
        ("exploited", "no", "active"),
        ("targeted", False, True),
        ("assets", (), ("safety", "personal-data", "security", "model", "compute")),
        ("hurt", (), ("safety",)),
        ("access", "physical", "network"),
    ],
)
def test_a_worse_fact_never_lowers_a_score(threat, field, mild, bad):
    low = by_scheme(threat, msgspec.structs.replace(MEASURED, **{field: mild}))
    high = by_scheme(threat, msgspec.structs.replace(MEASURED, **{field: bad}))
    for scheme in ("cvss-4.0", "cvss-3.1"):
        assert low[scheme].value <= high[scheme].value
    assert Severity(high["bug-bar"].level).at_least(Severity(low["bug-bar"].level))
    order = ("track", "track*", "attend", "act")
    assert order.index(low["ssvc"].level) <= order.index(high["ssvc"].level)


@pytest.mark.parametrize(
    ("threat", "facts", "level"),
    [
        # The finer table of "Threat Modeling AI/ML Systems and Dependencies".
        ("adversarial-perturbation", Facts(targeted=True), "critical"),
        ("adversarial-perturbation", Facts(targeted=False), "important"),
        ("data-poisoning", Facts(targeted=True), "critical"),
        ("data-poisoning", Facts(targeted=False), "important"),
        ("model-inversion", Facts(assets=("personal-data",)), "critical"),
        ("model-inversion", Facts(), "important"),
        ("membership-inference", Facts(), "moderate"),
        ("ml-supply-chain", Facts(), "critical"),
        ("backdoored-ml-provider", Facts(), "critical"),
        ("physical-adversarial-example", Facts(), "critical"),
        # What was measured lowers it: a mitigation that holds, an attack that hardly works.
        ("adversarial-perturbation", Facts(mitigated=True), "moderate"),
        ("adversarial-perturbation", Facts(success=0.01), "moderate"),
        ("adversarial-perturbation", Facts(success=0.01, exploited="active"), "important"),
        ("membership-inference", Facts(queries=1e6), "low"),
    ],
)
def test_the_bug_bar_says_what_its_table_says(threat, facts, level):
    found = bug_bar.score(threat, facts)
    assert found.level == level
    assert found in scores(threat, facts)
    assert found.because


def test_every_metric_is_explained_and_the_unknown_is_said_to_be_assumed():
    found = metrics("model-stealing", Facts())
    told = " ".join(found.because)
    for name in ("AV:", "AC:", "AT:", "PR:", "UI:", "VC:", "SC:", "E:"):
        assert name in told
    assert sum("not known" in one or "not measured" in one for one in found.because) >= 4


def test_facts_decide_what_the_specification_says_they_decide():
    found = metrics("adversarial-perturbation", MEASURED).values
    assert found["AV"] == "N"
    assert found["PR"] == "L"
    assert found["AT"] == "N"
    assert metrics("adversarial-perturbation", Facts(knowledge="gradients")).values["AT"] == "P"
    assert metrics("adversarial-perturbation", Facts(success=0.3)).values["AT"] == "P"
    assert metrics("ml-supply-chain", Facts(access="supply-chain")).values["AV"] == "L"
    assert metrics("adversarial-perturbation", Facts(hurt=("safety",))).values["MSI"] == "S"


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        # Four corners and the four rows on which the table turns.
        (("no", False, False, "low"), "track"),
        (("no", False, True, "high"), "track*"),
        (("no", True, False, "high"), "attend"),
        (("proof-of-concept", False, False, "high"), "track*"),
        (("proof-of-concept", True, True, "medium"), "track*"),
        (("active", False, True, "medium"), "attend"),
        (("active", True, False, "low"), "attend"),
        (("active", True, True, "medium"), "act"),
    ],
)
def test_ssvc_decides_as_the_published_table(row, decision):
    assert decide(*row) == decision


def test_a_type_without_an_impact_is_refused_by_name():
    with pytest.raises(UsageError, match="drift"):
        scores("drift", Facts())


def test_a_published_vector_keeps_its_own_score():
    three = from_vector("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
    assert (three.scheme, three.value, three.level) == ("cvss-3.1", 9.8, "critical")
