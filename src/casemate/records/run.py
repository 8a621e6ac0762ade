"""Run: one invocation, so that it can be resumed, repeated and compared."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

RunState = Literal["running", "complete", "interrupted", "failed"]


class Run(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="run/1",
    forbid_unknown_fields=True,
):
    """What was asked, with what, and how far it got; its records are kept under its id."""

    id: str
    """`run-` and 26 characters that sort by time."""
    verb: str
    started: datetime
    ended: datetime | None = None
    state: RunState = "running"
    arguments: dict[str, str | int | float | bool | None] = {}
    config_digest: str | None = None
    catalog_digest: str | None = None
    versions: dict[str, str] = {}
    """casemate, python and the frameworks that took part."""
    seed: int = 0
    budget: str | None = None
    """Time or evaluations allowed, as given: `5m`, `10000`."""
    target: str | None = None
    """URI of the model, where there is one."""
    classes: tuple[str, ...] = ()
    """Names of the labels in order, where the data set gives them."""
    notes: tuple[str, ...] = ()
    """What was not checked, and why."""
