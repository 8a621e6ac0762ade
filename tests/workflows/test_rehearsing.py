"""Every playbook is rehearsed: an incident is simulated and contained by a real guard."""

import pytest

from casemate.case import playbook as following
from casemate.catalog.entries import Attack, Playbook
from casemate.catalog.loader import entries
from casemate.workflows import rehearsing, simulating

ENTRIES = entries("playbooks", Playbook)
QUICK = ("respond-adversarial-perturbation", "respond-neural-net-reprogramming")
"""The others take as long and are as alike; `-m slow` runs all."""


def rehearsed(ident):
    return rehearsing.rehearse(following.load(ENTRIES[ident]))


@pytest.mark.parametrize(
    "ident", [pytest.param(one, marks=[] if one in QUICK else pytest.mark.slow) for one in ENTRIES]
)
def test_its_incident_is_contained_with_the_evidence_intact(ident):
    made = rehearsed(ident)
    entry = ENTRIES[ident]
    assert made.contained
    assert made.intact
    assert made.on == entry.rehearsed
    if made.on == "fixture":
        assert "recorded events: casemate has no attack" in made.what
    else:
        assert entry.attack in made.what
    answers = {name: step.answer for name, step in made.steps.items()}
    assert set(answers) == {one.id for one in following.load(entry).steps}
    assert [one for one in answers.values() if "the check broke" in one] == []
    assert [one for one in answers.values() if "could not be" in one] == []
    if made.on == "attack" and entry.attack != "poisoning-label-flip":
        assert made.steps["attack-stopped"].state == "done"


@pytest.mark.parametrize("ident", ENTRIES)
def test_an_entry_says_what_it_is_rehearsed_on(ident):
    entry = ENTRIES[ident]
    assert (entry.attack is not None) == (entry.rehearsed == "attack")
    assert bool(entry.fixture) == (entry.rehearsed == "fixture")
    assert entry.attack is None or entry.attack in entries("attacks", Attack)
    for one in entry.fixture:
        for number in range(min(2, one.count)):
            fields = {**one.fields, **{name: simulating._other(name, number) for name in one.vary}}
            assert simulating._event("w-0000000000000000", number, 1, fields).model == "rehearsal"
