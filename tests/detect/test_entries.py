"""Every detection's entry says what its function says, and what a responder needs."""

import inspect

import pytest

from casemate.catalog import loader
from casemate.catalog.entries import Detector
from casemate.detect.rule import Limits, Rule
from casemate.detect.watch import Watch, make_rule
from casemate.records.event import Event
from casemate.workflows import rules
from tests.arch.house import TESTS

ENTRIES = loader.entries("detections", Detector)
WATCHED = [i for i, e in ENTRIES.items() if e.entry is not None and not e.inline]
BOTH = [
    pytest.param(entry, case, id=f"{entry.id}: {case.why}")
    for entry in ENTRIES.values()
    if entry.entry is not None and entry.body is not None
    for case in entry.case
]
TYPES = {"float": float, "int": int, "str": str, "bool": bool}


@pytest.mark.parametrize("ident", WATCHED)
def test_params_are_the_keyword_only_arguments(ident):
    entry = ENTRIES[ident]
    given = inspect.signature(loader.load(entry)).parameters.values()
    named = {p.name: str(p.annotation) for p in given if p.kind is p.KEYWORD_ONLY}
    assert named == {name: spec.type for name, spec in entry.params.items()}
    for name, spec in entry.params.items():
        assert type(spec.default) is TYPES[spec.type], name
        assert spec.low is None or spec.low <= spec.default, name
        assert spec.high is None or spec.default <= spec.high, name


@pytest.mark.parametrize("ident", WATCHED)
def test_it_makes_a_rule_that_wants_to_be_asked(ident):
    rule = make_rule(ENTRIES[ident], Limits())
    assert isinstance(rule, Rule)
    assert any(moment is not None for moment in rule)


@pytest.mark.parametrize("ident", WATCHED)
def test_a_responder_is_told_what_to_rule_out_and_what_to_do(ident):
    entry = ENTRIES[ident]
    for text in (entry.why, entry.how, entry.benign, entry.misses, entry.severity_why):
        assert len(text.split()) > 5
    assert entry.next_steps
    assert entry.conclusion == "attack" or not entry.pages


@pytest.mark.parametrize("ident", WATCHED)
def test_it_is_named_in_a_test_of_its_own(ident):
    texts = [path.read_text(encoding="utf-8") for path in (TESTS / "detect").glob("test_*.py")]
    assert any(f'"{ident}"' in text for text in texts)


@pytest.mark.parametrize(("entry", "case"), BOTH)
def test_its_function_and_its_sigma_rule_say_the_same_of_its_cases(entry, case):
    events = []
    for number, flat in enumerate(rules.events(case)):
        events.append(
            Event(
                writer="w-00000000000000aa", sequence=number, at=1_790_000_000_000_000 + number,
                kind=flat["event.action"], lost=flat["event.lost"],
                status=flat["http.response.status_code"], principal=flat["ml.principal.id"],
                model=flat["ml.model.name"],
            )
        )  # fmt: skip
    assert bool(Watch(rules=[entry.id]).feed(events)) == case.fires
    (tried,) = [one for one in rules.test(entry) if one.case == case]
    assert tried.passed
