"""Read a bug bar: one of the catalog's by id, or the user's own TOML file.

Both have the same shape, `casemate.catalog.entries.Bar`; a file of the user's own needs only the
keys that decide.
"""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path

import msgspec

from casemate.catalog.entries import Attack, Bar
from casemate.catalog.loader import entries, entry
from casemate.errors import UsageError

DEFAULT = "no-regressions"
_PROSE = {"title": "A bar of your own", "why": "Set by this project.", "misses": "Not stated."}


def read_bar(name: str = DEFAULT, *, root: Path | None = None) -> Bar:
    """Return the bar called `name`.

    Args:
        name: An id of the catalog's `bars`, or the path of a TOML file (ends in `.toml`).
        root: Folder a relative path starts from; the working directory when None.

    Raises:
        UsageError: There is no such bar, or the file is not a valid one.
    """
    if not name.endswith(".toml"):
        return entry("bars", name, Bar)
    path = (root or Path()) / name
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = f"the catalog's bars: {', '.join(entries('bars', Bar))}"
        raise UsageError(f"there is no bar file {path}", hint=hint) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the bar {path}: {error}") from error
    _refuse_unknown_keys(path, body)
    try:
        bar = msgspec.convert({**_PROSE, **body, "id": path.stem, "kind": "bars"}, Bar)
    except msgspec.ValidationError as error:
        raise UsageError(f"the bar {path}: {error}") from error
    _check(path, bar)
    return bar


def floor_of(key: str) -> tuple[str, float | None]:
    """Split a key of `[robust]`, `evasion-pgd` or `evasion-pgd@0.1`, into attack and radius."""
    attack, _, radius = key.partition("@")
    return attack, float(radius) if radius else None


def _refuse_unknown_keys(path: Path, body: dict[str, object]) -> None:
    known = [name for name in Bar.__struct_fields__ if name not in ("id", "kind")]
    for key in body:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise UsageError(f"the bar {path} has an unknown key '{key}'", hint=hint)


def _check(path: Path, bar: Bar) -> None:
    if bar.regression is not None and not 0 <= bar.regression <= 1:
        raise UsageError(
            f"the bar {path}: regression = {bar.regression}", hint="a share between 0 and 1"
        )
    for key, floor in bar.robust.items():
        try:
            attack, _ = floor_of(key)
        except ValueError as error:
            raise UsageError(
                f"the bar {path}: robust.{key!r}", hint="an attack's id, then @ and the radius"
            ) from error
        entry("attacks", attack, Attack)
        if not 0 <= floor <= 1:
            raise UsageError(
                f"the bar {path}: robust.{key} = {floor}", hint="a share between 0 and 1"
            )
