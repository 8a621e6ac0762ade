"""Facts are what records say, and nothing else."""

import msgspec
import pytest

from casemate.records.detection import Detection
from casemate.records.incident import Guess, Incident, Triage
from casemate.records.make import make
from casemate.records.system import Component, System
from casemate.records.target import Target
from casemate.records.trial import Measure, Seen
from casemate.records.vulnerability import Facts
from casemate.vuln import facts
from tests.gate.made import finding, trial

ENDPOINT = Target(kind="endpoint", uri="http+oip://127.0.0.1/v2/models/fraud")


def system(**more):
    made = Component(name="fraud", kind="endpoint", uri=ENDPOINT.uri, **more)
    return make(System, components=(made,))


def detection(**more):
    given = {
        "id": "det-1",
        "rule": "boundary-search",
        "conclusion": "attack",
        "severity": "important",
        "confidence": "firm",
        "message": "a search",
        "model": "fraud",
        "principals": ("eve",),
        "began": 1,
        "ended": 2,
        "made": 3,
        "queries": 900,
    }
    return make(Detection, **{**given, **more})


def incident(**more):
    given = {
        "id": "case-2026-0001",
        "title": "a search",
        "severity": "important",
        "opened": "2026-11-01T00:00:00Z",
        "opened_by": "ada",
        "aware": "2026-11-01T00:00:00Z",
    }
    return make(Incident, **{**given, **more})


def test_success_is_of_the_inputs_the_model_had_right():
    made = trial([True, False, False, None], target=ENDPOINT, attack="evasion-hopskipjump")
    outcomes = [
        msgspec.structs.replace(one, queries=100 * (place + 1))
        for place, one in enumerate(made.outcomes)
    ]
    outcomes.append(msgspec.structs.replace(outcomes[0], clean=False, success=True, queries=7))
    found = facts.of_trial(msgspec.structs.replace(made, outcomes=tuple(outcomes)))
    assert found.success == pytest.approx(2 / 3)
    assert found.access == "network"
    assert found.knowledge == "labels"
    assert found.exploited == "proof-of-concept"
    assert found.mitigated is None


def test_queries_are_the_median_of_the_successes():
    made = trial([False, False, False])
    outcomes = tuple(
        msgspec.structs.replace(one, queries=number)
        for one, number in zip(made.outcomes, (10, 500, 30), strict=True)
    )
    assert facts.of_trial(msgspec.structs.replace(made, outcomes=outcomes)).queries == 30


def test_an_attack_that_failed_proves_nothing():
    assert facts.of_trial(trial([True, True])).exploited == "no"
    assert facts.of_trial(trial([True, True])).success == 0.0


def test_a_copy_counts_by_its_fidelity():
    made = trial(
        [True], attack="extraction-knockoff", measures=(Measure(name="fidelity", value=0.8),)
    )
    made = msgspec.structs.replace(made, family="extraction")
    assert facts.of_trial(made).success == 0.8
    assert facts.threat_of_family("extraction") == "model-stealing"


def test_what_the_owner_says_of_the_component_counts():
    open_to_all = facts.of_trial(
        trial([False], target=ENDPOINT), system(callers=("public",), assets=("safety",))
    )
    assert open_to_all.authenticated is False
    assert open_to_all.assets == ("safety",)
    assert open_to_all.hurt == ("safety",)
    customers = facts.of_trial(trial([False], target=ENDPOINT), system(callers=("customers",)))
    assert customers.authenticated is True


@pytest.mark.parametrize(("after", "held"), [(0.0, True), (0.6, False), (None, None)])
def test_a_mitigation_holds_where_it_was_measured_to(after, held):
    made = msgspec.structs.replace(
        trial([False], target=ENDPOINT),
        seen=Seen(sent=10, logged=10, success=0.9, success_after=after),
    )
    assert facts.of_trial(made).mitigated is held


def test_a_file_must_be_loaded_by_somebody():
    found = facts.of_finding(finding())
    assert (found.access, found.interaction) == ("supply-chain", True)
    assert facts.threat_of_finding(finding()) == "ml-supply-chain"
    assert facts.threat_of_finding(finding(rule="evasion-pgd")) == "adversarial-perturbation"


def test_an_exercise_is_no_exploitation():
    assert facts.of_detection(detection()).exploited == "active"
    assert facts.of_detection(detection(marked="run-1")).exploited == "no"
    assert facts.of_detection(detection(conclusion="drift")).exploited == "no"


def test_a_rule_that_sees_several_types_names_none():
    assert facts.threat_of_detection(detection()) == "adversarial-perturbation"
    assert facts.threat_of_detection(detection(rule="record-gap")) is None


def test_a_case_says_what_its_triage_found_and_people_answered():
    triage = Triage(
        assessment="attack",
        confidence="firm",
        guesses=(
            Guess(threat="drift", share=0.6, because="-"),
            Guess(threat="model-stealing", share=0.4, because="-"),
        ),
        models=("fraud",),
        queries=5000,
        success=0.7,
    )
    made = incident(triage=triage, facts={"people_affected": 40, "personal_data": True})
    found = facts.of_incident(made, system(assets=("money",)))
    assert found.success == 0.7
    assert found.exploited == "active"
    assert found.hurt == ("users",)
    assert found.assets == ("personal-data", "money")
    assert facts.threat_of_incident(made) == "model-stealing"
    assert facts.threat_of_incident(incident(threat="drift", triage=triage)) is None


def test_two_observations_together_are_the_worse_of_both():
    one = Facts(success=0.2, queries=900, authenticated=True, mitigated=True)
    other = Facts(success=0.5, queries=100, authenticated=False, targeted=False, exploited="active")
    both = facts.merged(one, other)
    assert (both.success, both.queries) == (0.5, 100)
    assert both.authenticated is False
    assert both.mitigated is True
    assert both.targeted is False
    assert both.exploited == "active"
    assert facts.merged(one, one) == one
    assert facts.merged(Facts(mitigated=True), Facts(mitigated=False)).mitigated is False
