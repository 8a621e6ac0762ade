"""Every attack's entry says what its function says."""

from __future__ import annotations

import inspect

import pytest

from casemate.catalog import loader
from casemate.catalog.entries import Attack, Mitigation

ENTRIES = loader.entries("attacks", Attack)
EVASION = [ident for ident, entry in ENTRIES.items() if entry.family == "evasion"]
TYPES = {"float": float, "int": int, "str": str, "bool": bool}


@pytest.mark.parametrize("ident", ENTRIES)
def test_params_are_the_keyword_only_arguments(ident):
    entry = ENTRIES[ident]
    parameters = inspect.signature(loader.load(entry)).parameters.values()
    named = {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "rng"}
    if entry.family != "evasion":  # these also take what the run hands them, see their run loop
        assert set(entry.params) <= set(named)
        return
    assert set(entry.params) == set(named)
    for name, spec in entry.params.items():
        assert str(named[name].annotation).split(" |")[0] == spec.type, name
        assert named[name].default is inspect.Parameter.empty, (
            f"{name}: defaults stand in the entry"
        )


@pytest.mark.parametrize("ident", EVASION)
def test_the_first_argument_names_what_the_attack_needs(ident):
    entry = ENTRIES[ident]
    first = next(iter(inspect.signature(loader.load(entry)).parameters.values()))
    assert (str(first.annotation).lower(),) == entry.needs


@pytest.mark.parametrize("ident", ENTRIES)
def test_defaults_are_legal_and_explained(ident):
    entry = ENTRIES[ident]
    for name, spec in entry.params.items():
        assert spec.help, name
        if spec.default is not None:
            assert type(spec.default) is TYPES[spec.type], name
            assert loader.params(entry, {name: spec.default})[name] == spec.default
    if entry.norms and "norm" in entry.params:
        assert set(entry.params["norm"].choices) == set(entry.norms)


@pytest.mark.parametrize("ident", ENTRIES)
def test_what_a_reader_needs_is_there(ident):
    entry = ENTRIES[ident]
    for text in (entry.why, entry.misses, entry.severity_why, entry.cost):
        assert len(text.split()) > 5
    assert entry.refs
    assert entry.mitigations
    known = loader.entries("mitigations", Mitigation)
    assert set(entry.mitigations) <= set(known)
    assert entry.minimum_norm == ("eps" not in entry.params) or entry.family != "evasion"
