"""Where things are, for the tests that hold the house together."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "casemate"
TESTS = ROOT / "tests"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REFERENCE = ROOT.parent / "shared" / "reference"
"""Public data to check against; not part of the repository and absent on most machines."""


def modules():
    """Every source module, as a path from src/casemate."""
    return sorted(path.relative_to(SRC) for path in SRC.rglob("*.py"))
