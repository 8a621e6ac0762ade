"""Starting is light: help and scan load no framework, and packages load almost nothing."""

import subprocess
import sys

import pytest

from casemate.cli.program import VERBS
from tests.arch.house import PROJECT, SRC

BANNED = set(PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-module-level-imports"])
MOST = 100
"""Modules, one of them for each verb."""
PACKAGES = sorted(p.parent.name for p in SRC.glob("*/__init__.py"))
NAMES = {"importing": "import"}
"""Modules that cannot have their verb's name, as Python keeps it for itself."""
STEMS = [verb.__name__.rpartition(".")[2] for verb in VERBS]
VERB_NAMES = [NAMES.get(stem, stem) for stem in STEMS]
_LOOK = "import sys; print('\\n' + ' '.join(sys.modules), file=sys.stderr)"


def loaded(code, **options):
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code], capture_output=True, text=True, **options
    )
    return done, done.stderr.strip().splitlines()[-1].split()


def after(arguments, **options):
    code = f"""
try:
    from casemate.cli import main
    code = main({arguments!r})
except SystemExit as stop:
    code = stop.code
{_LOOK}
sys.exit(code)
"""
    return loaded(code, **options)


@pytest.mark.parametrize("verb", [None, *VERB_NAMES])
def test_help_is_light(verb):
    done, names = after([verb, "--help"] if verb else ["--help"])
    assert done.returncode == 0
    assert "usage: casemate" in done.stdout
    assert not BANNED & set(names)
    assert len(names) < MOST


@pytest.mark.parametrize("package", ["", *PACKAGES])
def test_importing_a_package_is_light(package):
    name = f"casemate.{package}" if package else "casemate"
    done, names = loaded(f"import {name}\n{_LOOK}")
    assert done.returncode == 0, done.stderr
    assert not BANNED & set(names)
    assert len(names) < MOST


def test_every_verb_of_the_help_is_there():
    done, _ = after(["--help"])
    for verb in ("init", "scan", "threats", "attack", "assess", "gate", "report", "explain", "ci"):
        assert f"    {verb} " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["scan", "--quiet", "--no-store", "."], ["explain", "no-regressions"], ["init"]],
    ids=lambda words: words[0],
)
def test_what_executes_nothing_loads_no_framework(arguments, tmp_path):
    (tmp_path / "weights.pkl").write_bytes(b"\x80\x04}.")
    done, names = after(arguments, cwd=tmp_path)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # init says what it did not find
    assert not {"numpy", "torch", "onnx", "sklearn", "keras", "onnxruntime"} & set(names)
