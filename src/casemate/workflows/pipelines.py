"""Pipeline files for other people's CI: GitHub Actions, GitLab CI, pre-commit.

The texts lie in `pipeline_files/`; here the version, the time allowed and the suffixes of the
catalog's formats are put in. Nothing is written: the command line does that.
"""

from __future__ import annotations

import re
from pathlib import Path

import casemate
from casemate.catalog.entries import Format
from casemate.catalog.loader import entries
from casemate.errors import UsageError

FILES = Path(__file__).with_name("pipeline_files")
WHERE = {
    "github": ".github/workflows/casemate.yml",
    "gitlab": ".gitlab-ci.yml",
    "pre-commit": ".pre-commit-config.yaml",
}
_SAFE_EXTRA = re.compile(r"[a-z0-9-]+")
_SAFE_TIME = re.compile(r"[0-9]+[smh]?")


def pipeline(kind: str, *, extras: tuple[str, ...] = ("all",), time: str = "10m") -> dict[str, str]:
    """Return the files a pipeline needs: text by path from the root of the repository.

    Args:
        kind: `github`, `gitlab` or `pre-commit`.
        extras: casemate's extras that the model needs, such as `torch`.
        time: Time allowed to `casemate assess`: `90s`, `10m`, `1h`.

    Raises:
        UsageError: No such kind, or a value that does not belong in a pipeline file.
    """
    if kind not in WHERE:
        raise UsageError(f"no pipeline for '{kind}'", hint=f"one of {', '.join(WHERE)}")
    for value, safe in [*((extra, _SAFE_EXTRA) for extra in extras), (time, _SAFE_TIME)]:
        if not safe.fullmatch(value):
            raise UsageError(f"'{value}' cannot stand in a pipeline file")
    plain = f"casemate=={casemate.__version__}"
    filled = plain.replace("==", f"[{','.join(extras)}]==") if extras else plain
    text = (FILES / f"{kind}.yml").read_text(encoding="utf-8")
    for mark, value in {
        "@VERSION@": casemate.__version__,
        "@REQUIREMENT@": filled,
        "@SCAN_REQUIREMENT@": plain,
        "@TIME@": time,
        "@SUFFIXES@": "|".join(_suffixes()),
    }.items():
        text = text.replace(mark, value)
    return {WHERE[kind]: text}


def _suffixes() -> list[str]:
    """Return the suffixes of formats that can run code or hold weights, as patterns."""
    known = {
        suffix
        for each in entries("formats", Format).values()
        if each.executes != "no" or each.id == "safetensors"
        for suffix in each.suffixes
    }
    return [re.escape(suffix) for suffix in sorted(known)]
