"""Catalog lint: what an entry says is complete, resolves, and agrees with the code it names."""

import inspect
import re

import pytest
import yaml

from casemate.catalog.entries import KINDS, Attack, Mitigation
from casemate.catalog.loader import ROOT as CATALOG
from casemate.catalog.loader import entries, load
from tests.arch.house import REFERENCE

ENTRIES = [entry for kind, cls in KINDS.items() for entry in entries(kind, cls).values()]
WITH_CODE = [entry for entry in ENTRIES if entry.entry is not None]
ATTACKS = list(entries("attacks", Attack).values())
MITIGATED = [entry for entry in ENTRIES if getattr(entry, "mitigations", ())]

REFS = re.compile(
    r"arxiv:\d{4}\.\d{4,5}"
    r"|atlas:AML\.(T|M|CS)\d{4}(\.\d{3})?"
    r"|cwe:\d+"
    r"|ghsa:GHSA(-[23456789cfghjmpqrvwx]{4}){3}"
    r"|cve:CVE-\d{4}-\d{4,}"
    r"|url:https://\S+"
)
TYPES = {"float": (float, int), "int": (int,), "str": (str,), "bool": (bool,)}


def each(chosen):
    return pytest.mark.parametrize("entry", chosen, ids=lambda e: f"{e.kind}-{e.id}")


def test_folders_and_files_are_of_known_kinds():
    lists = {"allow", "scores"}  # data of scan and vuln that is not made of entries
    folders = {p.name for p in CATALOG.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders <= {*KINDS, *lists}
    strangers = [
        path
        for kind in KINDS
        for path in (CATALOG / kind).glob("*")
        if path.suffix == ".toml" and path.stem not in entries(kind, KINDS[kind])
    ]
    assert strangers == []


def test_ids_and_aliases_are_unique_across_kinds():
    names = [name for entry in ENTRIES for name in (entry.id, *entry.aliases)]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@each(ENTRIES)
def test_id_is_kebab_case_and_prose_is_there(entry):
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", entry.id)
    assert entry.title.strip()
    assert not entry.title.strip().endswith(".")
    assert len(entry.why.split()) >= (8 if entry.kind != "formats" else 3)
    assert entry.misses.strip()
    for name in ("severity_why", "remedy", "how", "price"):
        assert getattr(entry, name, "-").strip(), name


@each(ENTRIES)
def test_references_are_in_the_one_notation(entry):
    assert [ref for ref in entry.refs if not REFS.fullmatch(ref)] == []
    assert len(set(entry.refs)) == len(entry.refs)


@each(WITH_CODE)
def test_the_function_it_names_is_there(entry):
    assert entry.entry.startswith("casemate.")
    assert callable(load(entry))


@each(MITIGATED)
def test_its_mitigations_are_in_the_catalog(entry):
    assert set(entry.mitigations) <= set(entries("mitigations", Mitigation))


@each(ATTACKS)
def test_parameters_are_the_functions_keyword_only_arguments(entry):
    given = inspect.signature(load(entry)).parameters.values()
    keywords = {p.name for p in given if p.kind is p.KEYWORD_ONLY} - {"rng"}
    assert set(entry.params) == keywords


@each(ATTACKS)
def test_defaults_have_the_type_and_range_they_declare(entry):
    for name, param in entry.params.items():
        assert param.help.strip(), name
        if param.default is None:
            continue
        assert isinstance(param.default, TYPES[param.type]), name
        assert not (isinstance(param.default, bool) and param.type != "bool"), name
        assert not param.choices or param.default in param.choices, name
        assert param.low is None or param.low <= param.default, name
        assert param.high is None or param.default <= param.high, name


@each(ATTACKS)
def test_what_it_needs_is_what_its_first_parameter_offers(entry):
    """The annotation of the oracle names the capability; the entry repeats it."""
    first = next(iter(inspect.signature(load(entry)).parameters.values()))
    offered = {"Gradients": "gradients", "Scores": "scores", "Labels": "labels"}
    if entry.family == "evasion":
        assert entry.needs == (offered[str(first.annotation).rpartition(".")[2]],)
    wanted = {
        "gradients": "white-box",
        "scores": "score-based",
        "labels": "decision-based",
        "training": "training-data",
    }
    if len(entry.needs) == 1:
        assert entry.knowledge == wanted[entry.needs[0]]


@pytest.mark.skipif(not (REFERENCE / "atlas").is_dir(), reason="no ATLAS data on this machine")
def test_atlas_ids_exist():
    (path,) = (REFERENCE / "atlas").glob("*.yaml")
    known = set(re.findall(r"\bAML\.(?:T|M|CS)\d{4}(?:\.\d{3})?\b", str(_ids(path))))
    named = {
        (entry.id, ref[6:]) for entry in ENTRIES for ref in entry.refs if ref.startswith("atlas:")
    }
    assert sorted((ident, ref) for ident, ref in named if ref not in known) == []


def _ids(path):
    body = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    parts = [part for matrix in body["matrices"] for part in matrix.get("techniques", [])]
    parts += [part for matrix in body["matrices"] for part in matrix.get("mitigations", [])]
    return [part["id"] for part in [*parts, *body["case-studies"]]]
