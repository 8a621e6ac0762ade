"""Every rule of the scanner has a bad and a good sample in tests/corpus."""

import importlib

import pytest

from casemate.catalog.entries import Rule
from casemate.catalog.loader import entries
from tests.arch.house import TESTS

MODULES = sorted(path.stem for path in (TESTS / "corpus").glob("[a-z]*.py"))


def samples():
    """Every sample of every module that has a list of them."""
    found = []
    for name in MODULES:
        found += getattr(importlib.import_module(f"tests.corpus.{name}"), "SAMPLES", [])
    return found


@pytest.mark.parametrize("rule", entries("rules", Rule))
def test_the_rule_has_samples_that_differ(rule):
    mine = [sample for sample in samples() if sample.rule == rule]
    assert mine, f"no sample of {rule} in tests/corpus"
    for sample in mine:
        assert data(sample.bad) != data(sample.good)


def data(made):
    """A sample is bytes, or a function that makes them."""
    return made() if callable(made) else made


def test_every_sample_is_of_a_rule():
    assert {sample.rule for sample in samples()} <= set(entries("rules", Rule))
