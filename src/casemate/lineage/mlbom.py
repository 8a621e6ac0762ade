"""CycloneDX ML-BOM -> lineage: models, the data they learned from, what they were made from.

Source: CycloneDX 1.5 to 1.7, cyclonedx.org: `component.modelCard.modelParameters.datasets`,
`component.pedigree.ancestors`, `dependencies`, `hashes`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError, UsageError
from casemate.lineage.digests import of_text
from casemate.lineage.telling import LONGEST, Telling

if TYPE_CHECKING:
    from casemate.lineage.found import Lineage
    from casemate.records.edge import NodeKind

SIZE = 64 << 20
COMPONENTS = 200_000
DEPENDS = 0.6
"""Confidence that a model which depends on another came from it: it may only call it."""
_KINDS: dict[str, NodeKind] = {"machine-learning-model": "model", "data": "dataset"}


def read(place: str) -> Lineage:
    """Return the lineage that a bill of materials states.

    Args:
        place: Its file, as JSON.

    Raises:
        UsageError: There is no such file.
        FormatError: It is no CycloneDX JSON.
    """
    path = Path(place)
    if not path.is_file():
        raise UsageError(f"there is no file {place}", hint="name a CycloneDX JSON file")
    if path.stat().st_size > SIZE:
        raise FormatError(f"{path.name} is longer than {SIZE:,} bytes")
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path.name} is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("bomFormat") != "CycloneDX":
        raise FormatError(f"{path.name} is no CycloneDX", hint="other kinds are not read")
    bom = _Bom(path.name, found)
    bom.take()
    return bom.telling.lineage()


class _Bom:
    def __init__(self, name: str, found: dict[str, Any]) -> None:
        self._found = found
        serial = found.get("serialNumber")
        self._origin = serial if isinstance(serial, str) and serial else of_text(name)[7:19]
        self.telling = Telling(f"ml-bom {name}")
        self._ids: dict[str, str] = {}
        """By bom-ref."""

    def take(self) -> None:
        """Add the components, then what they say of one another."""
        every = self._components()
        for component in every:
            self._node(component)
        for component in every:
            if component.get("type") == "machine-learning-model":
                self._model(component)
        for each in _list(self._found.get("dependencies")):
            target = self._ids.get(str(each.get("ref")))
            for ref in each.get("dependsOn") or ():
                source = self._ids.get(str(ref))
                if source is not None and target is not None:
                    why = f"{self.telling.nodes[target].name} depends on it, which may mean a call"
                    self.telling.edge(source, target, "derived-from", confidence=DEPENDS, why=why)
        if not self.telling.nodes:
            self.telling.notes.append("it names neither models nor data")

    def _components(self) -> list[dict[str, Any]]:
        waiting = [
            *_list([_dict(self._found.get("metadata")).get("component")]),
            *_list(self._found.get("components")),
        ]
        found: list[dict[str, Any]] = []
        while waiting and len(found) < COMPONENTS:
            one = waiting.pop(0)
            found.append(one)
            waiting += _list(one.get("components"))
        if waiting:
            self.telling.notes.append(f"only the first {COMPONENTS:,} components were read")
        return [one for one in found if one.get("type") in _KINDS]

    def _node(self, component: dict[str, Any]) -> str:
        ref = component.get("bom-ref")
        name = " ".join(
            str(component[key]) for key in ("group", "name", "version") if component.get(key)
        )
        purl = component.get("purl")
        own = str(ref or name)[:LONGEST]
        ident = purl[:LONGEST] if isinstance(purl, str) and purl else f"mlbom:{self._origin}#{own}"
        kind = _KINDS[str(component.get("type"))]
        self.telling.node(
            ident, kind, name or own, digest=_digest(component), facts={"purl": _text(purl)}
        )
        if isinstance(ref, str):
            self._ids[ref] = ident
        return ident

    def _model(self, component: dict[str, Any]) -> None:
        ident = self._node(component)
        for ancestor in _list(_dict(component.get("pedigree")).get("ancestors")):
            kind = ancestor.get("type")
            source = self._node({**ancestor, "type": kind if kind in _KINDS else component["type"]})
            self.telling.edge(source, ident, "derived-from")
        card = _dict(component.get("modelCard"))
        sets = _list(_dict(card.get("modelParameters")).get("datasets"))
        sources = [one for one in map(self._dataset, sets) if one is not None]
        if sources:
            run = f"{ident}#training"
            name = self.telling.nodes[ident].name
            self.telling.node(run, "run", f"training of {name}")
            self.telling.edge(run, ident, "made")
            for source in sources:
                self.telling.edge(source, run, "read-by")

    def _dataset(self, said: dict[str, Any]) -> str | None:
        ref = said.get("ref")
        if isinstance(ref, str):
            if ref not in self._ids:
                self.telling.notes.append(f"a model names data '{ref[:80]}' that are not listed")
            return self._ids.get(ref)
        name = _text(said.get("name")) or _text(_dict(said.get("contents")).get("url"))
        if not name:
            return None
        return self._node({**said, "type": "data", "name": name})


def _digest(component: dict[str, Any]) -> str | None:
    for one in _list(component.get("hashes")):
        content = str(one.get("content")).lower()
        if one.get("alg") == "SHA-256" and re.fullmatch(r"[0-9a-f]{64}", content):
            return f"sha256:{content}"
    return None


def _text(value: object) -> str:
    return value[:LONGEST] if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
