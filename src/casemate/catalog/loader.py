"""Read catalog entries, find one by id, import what one names.

Listing reads the TOML of one folder and nothing else; running imports exactly one module.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import importlib
import tomllib
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from casemate.catalog.entries import KINDS, Attack, Entry
from casemate.errors import CatalogError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parent
E = TypeVar("E", bound=Entry)


@functools.cache
def _folder(kind: str) -> Mapping[str, Entry]:
    found = {path.stem: read_entry(kind, path) for path in sorted((ROOT / kind).glob("*.toml"))}
    return MappingProxyType(found)


def read_entry(kind: str, path: Path) -> Entry:
    """Read one entry file of `kind` strictly.

    Raises:
        CatalogError: Not TOML, an unknown or missing key, a value of the wrong type.
    """
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert({**body, "id": path.stem, "kind": kind}, KINDS[kind])
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(path.name, "file", str(error)) from error
    except msgspec.ValidationError as error:
        raise CatalogError(path.name, "entry", str(error)) from error


def entries(kind: str, as_: type[E]) -> Mapping[str, E]:
    """Return the entries of a kind by id, in order of id; `as_` is the kind's type."""
    if KINDS[kind] is not as_:
        raise TypeError(f"the entries of {kind} are {KINDS[kind].__name__}, not {as_.__name__}")
    return cast("Mapping[str, E]", _folder(kind))


def entry(kind: str, ident: str, as_: type[E]) -> E:
    """Return one entry, by id or alias.

    Raises:
        UsageError: There is none; the hint names the nearest id.
    """
    known = entries(kind, as_)
    if ident in known:
        return known[ident]
    for candidate in known.values():
        if ident in candidate.aliases:
            return candidate
    near = difflib.get_close_matches(ident, known, 1, 0.4)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
    raise UsageError(f"no entry '{ident}' in the catalog's {kind}", hint=hint)


def find(ident: str) -> Entry:
    """Return the entry with this id or alias, of whatever kind.

    Raises:
        UsageError: There is none; the hint names the nearest id.
    """
    ids: list[str] = []
    for kind in KINDS:
        for known in _folder(kind).values():
            if ident == known.id or ident in known.aliases:
                return known
            ids.append(known.id)
    near = difflib.get_close_matches(ident, ids, 3, 0.4)
    hint = f"nearest: {', '.join(near)}" if near else "casemate explain --list shows all"
    raise UsageError(f"nothing in the catalog is called '{ident}'", hint=hint)


def load(found: Entry) -> Callable[..., Any]:
    """Import the function an entry names.

    Raises:
        CatalogError: The entry names none, or it cannot be found.
    """
    if found.entry is None:
        raise CatalogError(f"{found.id}.toml", "entry", "names no function")
    module_name, _, attribute = found.entry.partition(":")
    function = getattr(importlib.import_module(module_name), attribute, None)
    if not callable(function):
        raise CatalogError(f"{found.id}.toml", "entry", f"{found.entry} is not a function")
    return cast("Callable[..., Any]", function)


def params(attack: Attack, given: Mapping[str, str | float | int | bool | None]) -> dict[str, Any]:
    """Return the attack's parameters with defaults filled in and `given` checked and converted.

    Args:
        attack: The catalog entry.
        given: Values by name; strings (from the command line) are converted to the entry's type.

    Raises:
        UsageError: An unknown name, or a value out of the declared type, range or choices.
    """
    values: dict[str, Any] = {name: spec.default for name, spec in attack.params.items()}
    for name, raw in given.items():
        spec = attack.params.get(name)
        if spec is None:
            near = difflib.get_close_matches(name, attack.params, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(attack.params)}"
            raise UsageError(f"{attack.id} has no parameter '{name}'", hint=hint)
        values[name] = _convert(attack.id, name, raw, spec.type)
        if spec.choices and values[name] not in spec.choices:
            raise UsageError(f"{attack.id}: {name}={raw}", hint=f"one of {', '.join(spec.choices)}")
        low, high = spec.low, spec.high
        if (low is not None and values[name] < low) or (high is not None and values[name] > high):
            raise UsageError(f"{attack.id}: {name}={raw} is out of range", hint=f"{low} to {high}")
    return values


def _convert(ident: str, name: str, raw: object, kind: str) -> object:
    if raw is None:
        return None
    try:
        if kind == "bool":
            if isinstance(raw, bool):
                return raw
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                str(raw).lower()
            ]
        value: object = {"float": float, "int": int, "str": str}[kind](cast("Any", raw))
    except (ValueError, KeyError) as error:
        raise UsageError(f"{ident}: {name}={raw} is not a {kind}") from error
    if isinstance(value, float) and value - value != 0:
        raise UsageError(f"{ident}: {name}={raw} is not a finite number")
    return value


@functools.cache
def digest() -> str:
    """Return the `sha256:` digest of every file in the catalog, names included."""
    total = hashlib.sha256()
    for path in sorted(ROOT.glob("*/*")):
        if path.is_file() and path.suffix != ".pyc":
            total.update(f"{path.parent.name}/{path.name}\0".encode())
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{total.hexdigest()}"
