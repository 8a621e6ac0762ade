"""Order: a containment that every guard obeys until it expires or is undone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

OrderAction = Literal[
    "rate",
    "information",
    "coarsen",
    "contract",
    "delay",
    "review",
    "step-up",
    "block",
    "route",
    "cluster-answer",
    "decoy",
    "undo",
]


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an order reaches: every part given must match; none given is everybody."""

    principal: str | None = None
    session: str | None = None
    cluster: int | None = None
    model: str | None = None
    route: str | None = None


class Order(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="order/1",
    forbid_unknown_fields=True,
):
    """What a guard must do, to whom, until when, on whose word: made by case and detect."""

    id: str
    """`ord-` and 26 characters that sort by time."""
    at: datetime
    """Aware, UTC."""
    expires: datetime
    """After this moment guards forget it by themselves, whoever has gone away."""
    action: OrderAction
    scope: Scope
    author: str
    """A person, or the rule that gave it."""
    reason: str
    settings: dict[str, str | int | float | bool] = {}
    """The action's own: `per_minute`, `bits_per_hour`, `decimals`, `top`, `seconds`, `upstream`."""
    approver: str | None = None
    """Named person; required where the caller gets an answer that is not the model's own."""
    detection: str | None = None
    undoes: str | None = None
    """Id of the order that `undo` ends."""
