"""Which attacks apply: asked of the real catalog, by what its attacks need, not by their names."""

import pytest

from casemate.catalog.entries import Attack, ThreatKind
from casemate.catalog.loader import entries
from casemate.records.system import Component, Flow, System
from casemate.records.target import Target
from casemate.threats import only_model, threats
from tests.gate.made import trial, verdict

ATTACKS = entries("attacks", Attack)


def attacks(*knowledge, family=None):
    return {
        a.id for a in ATTACKS.values() if a.knowledge in knowledge and family in (None, a.family)
    }


def of(component, *, flows=(), others=(), **more):
    system = System(components=(component, *others), flows=tuple(flows))
    return {t.attack: t for t in threats(system, **more) if t.component == component.name}


def endpoint(**more):
    return Component(name="api", kind="endpoint", **more)


def test_a_lone_model_gets_a_list_that_admits_what_is_not_known():
    found = threats(only_model("torch:net.py:load"))
    assert {t.attack for t in found} >= attacks("white-box", "score-based", "decision-based")
    assert {t.attack for t in found} >= attacks("training-data")
    assert "ml-supply-chain" in {t.attack for t in found}
    assert all("othing says" in t.why for t in found)
    assert not any(t.covered_by for t in found)


def test_a_lone_address_is_an_endpoint():
    found = threats(only_model("http+oip://127.0.0.1/v2/models/m"))
    assert not {t.attack for t in found} & attacks("white-box")
    assert {t.attack for t in found} >= attacks("score-based")


def test_an_endpoint_that_answers_labels_is_open_to_attacks_on_labels_alone():
    found = of(endpoint(answers="labels", callers=("public",)))
    assert found.keys() & ATTACKS.keys() == attacks("decision-based")
    assert all("ublic can send it inputs" in found[a].why for a in found.keys() & ATTACKS.keys())


def test_scores_and_gradients_open_more():
    scores = of(endpoint(answers="scores")).keys() & ATTACKS.keys()
    assert scores == attacks("decision-based", "score-based")
    gradients = of(endpoint(answers="gradients")).keys() & ATTACKS.keys()
    assert gradients == attacks("decision-based", "score-based", "white-box")


def test_a_model_is_at_risk_from_whoever_holds_a_copy_even_if_callers_see_labels():
    found = of(Component(name="net", kind="model", answers="labels"))
    assert found.keys() >= attacks("white-box", "decision-based")
    assert "holds a copy" in found[min(attacks("white-box"))].why


def test_a_model_without_gradients_is_not_attacked_by_gradients():
    found = of(Component(name="forest", kind="model", uri="sklearn:model.pkl"))
    assert not found.keys() & {a.id for a in ATTACKS.values() if "gradients" in a.needs}
    assert found.keys() >= attacks("decision-based", family="evasion")


def test_attacks_on_other_inputs_are_left_out():
    net = Component(name="net", kind="model")
    for modality in ("image", "tabular"):
        found = of(net, modality=modality).keys() & ATTACKS.keys()
        assert all({"any", modality} & set(ATTACKS[a].modality) for a in found)


@pytest.mark.parametrize(("uri", "listed"), [("rows.csv", False), ("rows.npy", True)])
def test_data_that_cannot_run_anything_is_no_supply_chain_threat(uri, listed):
    rows = Component(name="rows", kind="dataset", uri=uri)
    assert ("ml-supply-chain" in of(rows)) is listed


def test_poisoning_needs_someone_who_can_write():
    web = Component(name="web", kind="client", callers=("public",))
    rows = Component(name="rows", kind="dataset", uri="train.csv")
    into = Flow(source="web", target="rows", untrusted=True)
    found = of(rows, flows=[into], others=[web])
    assert attacks("training-data") <= found.keys()
    assert all("web" in found[a].why for a in attacks("training-data"))
    trusted = Flow(source="web", target="rows")
    assert not attacks("training-data") & of(rows, flows=[trusted], others=[web]).keys()


def test_severity_stays_within_the_published_range():
    rows = {
        family: row for row in entries("threats", ThreatKind).values() for family in row.families
    }
    for threat in threats(only_model("torch:net.py:load")):
        if threat.attack in ATTACKS:
            row = rows[ATTACKS[threat.attack].family]
            assert row.highest.rank <= threat.severity.rank <= row.lowest.rank


def test_severity_rises_where_anyone_can_reach_what_matters():
    quiet = of(endpoint(answers="labels", callers=("internal",), assets=("decisions",)))
    loud = of(endpoint(answers="labels", callers=("public",), assets=("decisions",)))
    for attack in attacks("decision-based", family="evasion"):
        assert quiet[attack].severity == "important"
        assert loud[attack].severity == "critical"
        assert "raised because decisions" in loud[attack].why


def test_what_casemate_cannot_try_is_listed_and_said():
    found = of(endpoint(callers=("public",), assets=("personal-data", "safety")))
    for row in ("model-inversion", "membership-inference", "physical-adversarial-example"):
        assert "casemate has no attack for it yet" in found[row].why
        assert found[row].covered_by == ()
    assert "neural-net-reprogramming" not in found
    assert "model-inversion" not in of(endpoint(assets=("money",)))


def test_a_finished_trial_covers_its_attack_on_its_target_only():
    attack = min(attacks("white-box", family="evasion"))
    done = trial([True], attack=attack)
    component = Component(name="net", kind="model", uri=done.target.uri)
    twin = Component(name="twin", kind="model", uri="torch:twin.py:load")
    found = of(component, others=[twin], trials=[done])
    assert found[attack].covered_by == (done.id,)
    assert of(twin, others=[component], trials=[done])[attack].covered_by == ()
    part = trial([True], attack=attack, state="interrupted")
    assert of(component, trials=[part])[attack].covered_by == ()


@pytest.mark.parametrize(
    ("answer", "covered"), [("yes", True), ("no", True), ("cannot-tell", False)]
)
def test_a_scan_to_the_end_covers_the_supply_chain(answer, covered):
    component = Component(name="forest", kind="model", uri="sklearn:models/model.pkl")
    said = verdict(answer, uri="models/model.pkl")
    assert bool(of(component, verdicts=[said])["ml-supply-chain"].covered_by) is covered
    part = verdict("no", uri="models/model.pkl", bytes_refused=3)
    assert of(component, verdicts=[part])["ml-supply-chain"].covered_by == ()
    other = verdict(answer, uri="other/model.pkl")
    assert of(component, verdicts=[other])["ml-supply-chain"].covered_by == ()


def test_poisoning_is_covered_by_a_trial_on_the_same_data():
    if not attacks("training-data"):
        pytest.skip("the catalog has no poisoning attack yet")
    attack = min(attacks("training-data"))
    data = Target(kind="dataset", uri="train.csv")
    rows = Component(name="rows", kind="dataset", uri="train.csv")
    done = trial([True], attack=attack, data=data)
    assert of(rows, trials=[done])[attack].covered_by == (done.id,)


def test_worst_comes_first():
    found = threats(only_model("torch:net.py:load", "data.csv"))
    ranks = [t.severity.rank for t in found]
    assert ranks == sorted(ranks)
