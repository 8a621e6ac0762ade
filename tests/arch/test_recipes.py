"""Each recipe of CONTRIBUTING.md, followed word for word in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from casemate.catalog.entries import KINDS
from tests.arch.house import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = {
    section.split("\n", 1)[0]: section.split("\n", 1)[1]
    for section in re.split(r"(?m)^## ", TEXT)
    if section.startswith("Add ")
}
PARTS = ("src", "tests", "examples", "docs", "pyproject.toml", "CONTRIBUTING.md", "README.md")
WORDS = {
    "attacks": "Add an attack",
    "rules": "Add a scanner rule",
    "formats": "Add a file format",
    "targets": "Add a kind of target",
    "exports": "Add an exporter",
    "detections": "Add a detection",
    "logs": "Add a log format",
    "mitigations": "Add a mitigation",
    "bars": "Add a bar",
    "advisories": "Add an advisory",
    "playbooks": "Add a playbook",
    "deadlines": "Add a deadline",
    "controls": "Add a control",
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what a recipe touches; recipes add files and get in nobody's way."""
    root = tmp_path_factory.mktemp("repository")
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, root / name, ignore=ignored)
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, root / name)
    return root


def test_there_is_a_recipe_for_each_kind():
    # A row of the bug bar is not added by contributors: it is published by others.
    assert set(WORDS) == set(KINDS) - {"threats"}
    assert set(WORDS.values()) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_at_most_ten_lines(name):
    assert len([line for line in RECIPES[name].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("name", RECIPES)
def test_followed_word_for_word_it_works(name, copy):
    steps = RECIPES[name]
    copies = re.findall(r"[Cc]opy `([^`]+)` to\s+`([^`]+)`", steps)
    commands = re.findall(r"[Rr]un `([^`]+)`", steps)
    assert copies
    assert commands
    for source, destination in copies:
        assert not (copy / destination).exists()
        (copy / destination).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(copy / source, copy / destination)
    for command in commands:
        words = shlex.split(command)
        module = {"python": [], "casemate": ["-m", "casemate"]}[words[0]]
        done = subprocess.run(
            [sys.executable, *module, *words[1:]],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy / "src")},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("name", RECIPES)
def test_every_path_it_names_is_there_or_made_by_it(name):
    made = {target for _, target in re.findall(r"[Cc]opy `([^`]+)` to\s+`([^`]+)`", RECIPES[name])}
    named = re.findall(r"`((?:src|tests|examples|docs)/[^`]+)`", RECIPES[name])
    assert [path for path in named if path not in made and not (ROOT / path).exists()] == []
