"""What is known about a name that a pickle imports: may it be called, built, named, or why not.

The allow-list is one file per package in `catalog/allow/`, written by `bench/allowlist/make.py`.
Only the file of the package that is asked for is read. A name passes as it is written there or not
at all: `collections` being harmless says nothing about `collections.os`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from casemate.catalog.loader import ROOT
from casemate.scan.effects import effect_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Grade = Literal["class", "state", "function", "reference", "refused", "unlisted", "unknown"]
ALLOW = ROOT / "allow"
_TOP = re.compile(r"[A-Za-z_]\w*\Z")


class Standing(NamedTuple):
    """What is known about a name.

    `class` may be called and given any state; `state` may be built but not called; `function`
    may be called; `reference` may be named. `refused` was seen to have an effect. `unlisted` is
    not among the names of a package whose names were vetted; `unknown` belongs to one that was not.
    """

    grade: Grade
    effect: str | None = None
    exact: bool = False
    """Whether the effect is of this very name and not of the module it is in."""
    stdlib: bool = False


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the allow-list."""

    package: str
    versions: tuple[str, ...]
    """Versions read; empty when the names were judged by hand only."""
    source: str
    date: str
    classes: dict[str, str] = {}
    """Module to names, separated by blanks."""
    states: dict[str, str] = {}
    functions: dict[str, str] = {}
    references: dict[str, str] = {}
    refused: dict[str, dict[str, str]] = {}
    """Module to effect to names."""
    modules: tuple[str, ...] = ()
    """Top-level modules covered, where they are not named after the file."""


@functools.cache
def _files() -> frozenset[str]:
    return frozenset(path.stem for path in ALLOW.glob("*.json"))


@functools.cache
def read(stem: str) -> Package:
    """Return one file of the allow-list."""
    return msgspec.json.decode((ALLOW / f"{stem}.json").read_bytes(), type=Package)


@functools.cache
def _stdlib() -> frozenset[str]:
    return frozenset(read("stdlib").modules)


@functools.cache
def _graded(stem: str, module: str) -> Mapping[str, Standing]:
    package = read(stem)
    stdlib = stem == "stdlib"
    table: dict[str, Standing] = {}
    for effect, names in package.refused.get(module, {}).items():
        table.update(dict.fromkeys(names.split(), Standing("refused", effect, stdlib=stdlib)))
    grades: tuple[tuple[Grade, Mapping[str, str]], ...] = (
        ("reference", package.references),
        ("state", package.states),
        ("class", package.classes),
        ("function", package.functions),
    )
    for grade, modules in grades:
        for name in modules.get(module, "").split():
            table[name] = Standing(grade, stdlib=stdlib)
    return table


@functools.lru_cache(maxsize=65536)
def standing(module: str, name: str) -> Standing:
    """Return what is known about `module.name`."""
    top = module.partition(".")[0]
    stdlib = top in _stdlib()
    stem = "stdlib" if stdlib else top
    vetted = bool(_TOP.match(top)) and stem in _files()
    if vetted:
        found = _graded(stem, module).get(name)
        if found is not None and found.grade != "refused":
            return found
    named = effect_of(module, name)
    if named is not None:
        return Standing("refused", named.effect, named.exact, stdlib)
    if vetted:
        return found or Standing("unlisted", stdlib=stdlib)
    return Standing("unknown")


def allowed(module: str, name: str) -> bool:
    """Say whether a name is on the allow-list in any way."""
    return standing(module, name).grade in ("class", "state", "function", "reference")
