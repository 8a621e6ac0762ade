"""Column: what may be done to one feature of a tabular input."""

from __future__ import annotations

from typing import Literal

import msgspec


class Column(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="column/1",
    forbid_unknown_fields=True,
):
    """A feature and its constraints: learned by init, edited by the user, honoured by attacks."""

    name: str
    type: Literal["float", "integer", "boolean", "category"] = "float"
    low: float | None = None
    high: float | None = None
    mutable: bool = True
    """False for what an attacker cannot change: age, account opening date."""
    direction: Literal["any", "up", "down"] = "any"
    """Whether an attacker can only raise or only lower the value."""
    values: tuple[float, ...] = ()
    """The only values allowed, where there are few."""
    group: str | None = None
    """Columns of one name form a one-hot group: exactly one of them is 1."""
    at_most: str | None = None
    """Name of another column this one may not exceed."""
    sum_of: tuple[str, ...] = ()
    """Names of columns this one must stay the sum of."""
