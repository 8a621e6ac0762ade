"""When a Trial amounts to a Finding."""

from __future__ import annotations

import msgspec

from casemate.attack.findings import findings_of
from casemate.attack.run import run
from casemate.catalog import loader
from casemate.catalog.entries import Attack
from tests.attack.models import linear, near_boundary


def trial_of(attack, **params):
    model = linear((8,), 3)
    entry = loader.entry("attacks", attack, Attack)
    return run(model, near_boundary(model, 20), attack, params=params), entry


def test_a_drop_is_a_finding_with_figures_and_a_remedy():
    trial, entry = trial_of("evasion-pgd", eps=0.2, steps=5)
    (finding,) = findings_of(trial, entry)
    assert finding.rule == "evasion-pgd"
    assert finding.trial == trial.id
    assert "accuracy falls from 100.0% to" in finding.message
    assert "within linf 0.2" in finding.message
    assert "casemate explain" in finding.remedy
    assert finding.confidence == "certain"
    assert finding.subject == "evasion-pgd linf"


def test_the_fingerprint_survives_another_eps():
    prints = {
        findings_of(*trial_of("evasion-pgd", eps=eps, steps=5))[0].fingerprint for eps in (0.2, 0.3)
    }
    assert len(prints) == 1


def test_no_drop_is_no_finding():
    trial, entry = trial_of("evasion-pgd", eps=0.0)
    assert findings_of(trial, entry) == []


def test_small_changes_are_a_finding_and_large_ones_are_not():
    trial, entry = trial_of("evasion-fmn", norm="linf")
    (finding,) = findings_of(trial, entry)
    assert "half of 20 inputs" in finding.message
    assert findings_of(trial, msgspec.structs.replace(entry, finding_within=1e-6)) == []


def test_randomness_lowers_the_confidence():
    trial, entry = trial_of("evasion-pgd", eps=0.2, steps=5)
    trial = msgspec.structs.replace(trial, notes=("the model answers at random: ...",))
    assert findings_of(trial, entry)[0].confidence == "firm"
