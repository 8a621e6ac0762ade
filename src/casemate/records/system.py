"""System: what is being secured, as its owner describes it in casemate.toml."""

from __future__ import annotations

from typing import Literal

import msgspec


class Component(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the system."""

    name: str
    kind: Literal["model", "dataset", "pipeline", "endpoint", "client"]
    uri: str | None = None
    answers: Literal["labels", "scores", "gradients"] | None = None
    """What a caller of this model or endpoint gets to see; None when not stated."""
    callers: tuple[str, ...] = ()
    """Who may call it: `public`, `customers`, `internal` or names of your own."""
    assets: tuple[str, ...] = ()
    """What would be lost: `model`, `training-data`, `decisions` ..."""


class Flow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Data moving between two components."""

    source: str
    target: str
    carries: str = ""
    untrusted: bool = False
    """True when the data crosses a trust boundary on the way."""


class System(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="system/1",
    forbid_unknown_fields=True,
):
    """Components and flows: made by the user, read by threats and by every report."""

    components: tuple[Component, ...]
    flows: tuple[Flow, ...] = ()
