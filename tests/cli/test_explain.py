"""explain says of any entry what it is and what it misses."""

import json

import pytest

from casemate.catalog.entries import KINDS
from casemate.catalog.loader import entries
from casemate.cli import main

IDS = [ident for kind, shape in KINDS.items() for ident in entries(kind, shape)]


@pytest.mark.parametrize("ident", IDS)
def test_every_entry_explains_itself(ident, capsys):
    assert main(["explain", ident]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{ident}: ")
    assert "What it misses" in text


def test_the_list_holds_every_id_once(capsys):
    assert main(["explain", "--list", "--format", "json"]) == 0
    listed = [row["id"] for row in json.loads(capsys.readouterr().out)]
    assert sorted(listed) == sorted(IDS)
    assert len(set(listed)) == len(listed)
