"""The house's own numbers: length of files, names, broad excepts, marks of the workshop."""

import re
import subprocess

import pytest

from tests.arch.house import ROOT, SRC, modules

EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "base", "core", "misc"}
ADJECTIVES = {"enhanced", "smart", "unified", "advanced", "v2", "improved", "generic"}


def text_of(module):
    return (SRC / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("module", modules(), ids=str)
def test_a_file_is_short_named_for_a_thing_and_says_what_it_is(module):
    text = text_of(module)
    assert len(text.splitlines()) <= 500
    assert module.stem not in EMPTY_WORDS | ADJECTIVES
    assert text.startswith(('"""', 'r"""'))


def test_broad_excepts_are_rare_and_explained():
    """One that goes on after any error at all is how unknown becomes clean."""
    lines = sum(len(text_of(m).splitlines()) for m in modules())
    broad = [
        (str(module), line.strip())
        for module in modules()
        for line in text_of(module).splitlines()
        if re.search(r"except Exception( as \w+)?:|except:", line)
    ]
    swallows = [where for where in broad if "noqa: BLE001" in where[1]]
    assert [where for where in broad if "#" not in where[1]] == []
    assert len(swallows) <= max(1.0, 0.3 * lines / 1000), swallows


def test_type_ignores_carry_a_code():
    ignores = [
        (str(module), line.strip())
        for module in modules()
        for line in text_of(module).splitlines()
        if "type: ignore" in line
    ]
    assert [where for where in ignores if "type: ignore[" not in where[1]] == []
    lines = sum(len(text_of(m).splitlines()) for m in modules())
    assert len(ignores) <= lines / 1000 + 1, ignores


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_nothing_of_the_makers_machine_is_in_the_tree():
    found = subprocess.run(
        ["git", "grep", "-nIE", r"(^|[^A-Za-z0-9_.{}/-])/(work|root|home/[a-z]+)/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.stdout == ""
