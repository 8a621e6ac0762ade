"""Which effect a name is known for: the table in `catalog/allow/pickle-effects.toml`."""

from __future__ import annotations

import functools
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.catalog.loader import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES = {
    "process": "pickle-runs-shell",
    "exec": "pickle-runs-code",
    "unpickle": "pickle-runs-code",
    "import": "pickle-imports-module",
    "native": "pickle-loads-native-code",
    "network": "pickle-reaches-network",
    "files": "pickle-touches-files",
    "state": "pickle-changes-process",
}
"""The rule that reports an effect."""
DOES = {
    "process": "runs a program",
    "exec": "runs code of the file's choosing",
    "unpickle": "loads another pickle",
    "import": "imports a module of the file's choosing",
    "native": "loads native code",
    "network": "reaches the network",
    "files": "reads or writes files",
    "state": "changes the running process",
    "apply": "calls what it is given",
}


class Effect(NamedTuple):
    """An effect and whether the table names this very name."""

    effect: str
    exact: bool


@functools.cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads((ROOT / "allow" / "pickle-effects.toml").read_text(encoding="utf-8"))


@functools.cache
def _by_name() -> Mapping[tuple[str, str], str]:
    return {
        (module, name): row["effect"]
        for row in _table()["effect"]
        for module, _, name in (each.partition(" ") for each in row["names"])
    }


@functools.cache
def methods() -> tuple[frozenset[str], frozenset[str]]:
    """Return method names that reach outside their object, and dunder names that are plain."""
    table = _table()["methods"]
    return frozenset(table["names"]), frozenset(table["plain_dunders"])


def effect_of(module: str, name: str) -> Effect | None:
    """Return the effect a name is known for.

    A dotted name is looked up as a whole, then as what its first parts lead to, so that `uuid`
    with `os.system` is `os.system`. An exact name goes before a module, a longer module before a
    shorter one.
    """
    table = _by_name()
    exact = table.get((module, name))
    if exact is not None:
        return Effect(exact, True)
    parts = name.split(".")
    for start in range(1, len(parts)):
        inner = ".".join(parts[start - 1 : start])
        found = table.get((inner, ".".join(parts[start:])))
        if found is not None:
            return Effect(found, True)
    path = module.split(".")
    for length in range(len(path), 0, -1):
        found = table.get((".".join(path[:length]), "*"))
        if found is not None:
            return Effect(found, False)
    return None
