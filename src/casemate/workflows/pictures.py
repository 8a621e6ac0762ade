"""The inputs a case rests on, drawn: pictures where they were captured and have the shape of one.

Captured bodies are decrypted, read by the protocol they came in, and turned into a PNG of ours or
into figures as text. Nothing of them reaches a page as it came.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import CasemateError
from casemate.workflows.traffic import Asked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from casemate.guard.routes import Routes
    from casemate.records.incident import Incident
    from casemate.store.payloads import Vault
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded
    from casemate.workflows.traffic import Traffic

MOST = 18
"""Inputs shown of a case."""
_LEAST_SIDE = 8
_MOST_VALUES = 12
_MOST_TEXT = 400


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input and what is known of it."""

    event: Asked
    picture: str | None = None
    """Data URI of a PNG."""
    drawn: str | None = None
    """How it is drawn: `28 × 28`."""
    values: tuple[tuple[str, str], ...] = ()
    """Columns and their values, the first ones."""
    more: int = 0
    """Values beyond those."""
    text: str | None = None
    why: str | None = None
    """Why there is nothing to see."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a case."""

    shown: tuple[Input, ...]
    of: int
    """Events the case names as evidence."""
    captured: int
    note: str


def inputs_of(loaded: Loaded, workspace: Workspace, incident: Incident, traffic: Traffic) -> Inputs:
    """Return the inputs a case rests on, spread over its time, at most MOST."""
    triage = incident.triage
    if triage is None or not triage.events:
        return Inputs(shown=(), of=0, captured=0, note="The case names no events as evidence.")
    found = traffic.events(triage.events, triage.began, triage.ended)
    step = max(1.0, len(found) / MOST)
    chosen = [found[int(i * step)] for i in range(min(MOST, len(found)))]
    drawer = _Drawer(loaded, workspace)
    shown = tuple(drawer.draw(one) for one in chosen)
    captured = sum(one.payload is not None for one in found)
    if not found:
        note = "The events are no longer on record."
    elif not captured:
        note = (
            'No inputs were captured: [guard.capture] keep = "suspicious" in casemate.toml keeps '
            "those that look like an attack, encrypted."
        )
    else:
        note = f"{captured} of {len(found)} inputs were captured."
    return Inputs(shown=shown, of=len(triage.events), captured=captured, note=note)


class _Drawer:
    def __init__(self, loaded: Loaded, workspace: Workspace) -> None:
        self._loaded = loaded
        self._workspace = workspace
        self._vault: Vault | None = None
        self._routes: Routes | None = None
        self._why = ""
        self._read: dict[str, Any] = {}

    def draw(self, event: Asked) -> Input:
        if event.payload is None:
            return Input(event=event, why="not captured")
        try:
            given = self._given(event)
        except CasemateError as error:
            return Input(event=event, why=f"{error}")
        except ModuleNotFoundError as error:
            return Input(event=event, why=f"reading it needs {error.name}")
        if given.x is not None and 0 <= event.row < len(given.x):
            return _drawn(event, given.x[event.row], given.columns)
        if 0 <= event.row < len(given.texts):
            return Input(event=event, text=given.texts[event.row][:_MOST_TEXT])
        return Input(event=event, why="the captured body does not hold that row")

    def _given(self, event: Asked) -> Any:
        from casemate.errors import FormatError
        from casemate.guard.protocols import question

        assert event.payload is not None
        if event.payload in self._read:
            return self._read[event.payload]
        kept = self._open().get(event.payload, event.principal)
        assert self._routes is not None
        route = self._routes.find(event.route)
        if route is None:
            raise FormatError(f"the route {event.route} is not known any more")
        given = question(route, {"content-type": kept.content_type}, kept.body).inputs
        self._read[event.payload] = given
        return given

    def _open(self) -> Vault:
        if self._vault is None:
            from casemate.errors import StoreError
            from casemate.guard import keys
            from casemate.guard.routes import Routes
            from casemate.store.keys import key_folder
            from casemate.workflows.composing import vault

            policy = self._loaded.config.guard
            place: Path = key_folder(os.environ) / "guard.key"
            if not os.environ.get(keys.VARIABLE) and not place.exists():
                raise StoreError(
                    "captured inputs are encrypted, and the guard's key is not on this machine"
                )
            held = keys.read(os.environ, place, workspace=self._workspace.folder)
            self._routes = Routes(policy.route, self._loaded.root)
            self._vault = vault(policy, self._workspace, held)
        return self._vault


def _drawn(event: Asked, x: Any, columns: Sequence[str]) -> Input:
    import numpy as np

    from casemate.export.examples import picture
    from casemate.export.wording import number

    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        return Input(event=event, text=str(x.ravel()[:_MOST_VALUES].tolist())[:_MOST_TEXT])
    image = x.astype(np.float64)
    side = math.isqrt(image.size)
    flat = image.ndim == 1
    if flat and not columns and side >= _LEAST_SIDE and side * side == image.size:
        image = image.reshape(side, side)
    if image.ndim in (2, 3) and min(image.shape[:2]) >= 1 and image.size >= _LEAST_SIDE**2:
        drawn = f"{image.shape[0]} × {image.shape[1]}"
        if flat:
            drawn += ", a guess, as they came as rows of numbers"
        return Input(event=event, picture=picture(image), drawn=drawn)
    values = image.ravel()
    names = (
        list(columns) if len(columns) == len(values) else [f"x[{i}]" for i in range(len(values))]
    )
    shown = tuple(
        (names[i], number(float(values[i]))) for i in range(min(_MOST_VALUES, len(values)))
    )
    return Input(event=event, values=shown, more=max(0, len(values) - _MOST_VALUES))
