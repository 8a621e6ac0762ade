"""The documentation builds, says all there is to say, and the published schemas are current."""

import importlib.util
import json
import subprocess
import sys

import jsonschema
import pytest

from casemate.catalog.entries import KINDS
from casemate.catalog.loader import entries
from casemate.records.codec import RECORDS, encode
from tests.arch.house import ROOT
from tests.arch.test_startup import VERB_NAMES
from tests.gate.made import finding, trial, verdict

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_builds_strictly_and_fetches_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'src="http' not in page
    assert "fonts.googleapis" not in page


def test_every_verb_entry_and_record_has_its_place(generate):
    pages = generate.pages()
    for verb in VERB_NAMES:
        assert f"{{ #{verb} }}" in pages["reference/cli.md"]
    for kind, cls in KINDS.items():
        for ident in entries(kind, cls):
            assert f"{{ #{ident} }}" in pages[f"reference/catalog/{kind}.md"]
    for record in RECORDS:
        assert f"## {record.__name__} " in pages["reference/records.md"]


def test_every_kind_of_entry_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"reference/catalog/{kind}.md" in navigation


def test_published_schemas_are_what_the_code_says():
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("record", [finding(), trial([True, False]), verdict()], ids=type)
def test_records_are_valid_by_the_published_schemas(record):
    tag = record.__struct_config__.tag
    path = DOCS / "reference" / "schemas" / f"{tag.replace('/', '-')}.schema.json"
    jsonschema.validate(json.loads(encode(record)), json.loads(path.read_text(encoding="utf-8")))
