"""Imports go down the picture only: the contract of pyproject.toml, run by import-linter."""

import subprocess
import sys
from pathlib import Path

from tests.arch.house import PROJECT, ROOT, SRC


def test_the_contract_is_kept():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contract_knows_every_package():
    """A new package that is on no line of the picture would be free to import anything."""
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    drawn = {name.strip() for line in contract["layers"] for name in line.split("|")}
    there = {p.name if p.is_dir() else p.stem for p in SRC.iterdir() if p.name[0] != "_"}
    assert there - {"py"} <= drawn | {"py.typed"}
