"""Templated JSON, read the other way round: the template's placeholder says where inputs stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import FormatError, UsageError
from casemate.guard import invocations, shaping
from casemate.targets.wire import numbers, predictions, template

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.guard.shaping import Inputs


class Place(NamedTuple):
    """Where in a body the inputs stand."""

    way: tuple[str | int, ...]
    single: bool
    """Whether one input stands there, not a list of them."""


def place(path: Path) -> Place:
    """Return the place of the inputs that a template file says.

    Raises:
        UsageError: It cannot be read, or is no template.
    """
    try:
        found = template.read(path.read_bytes())
    except (OSError, FormatError) as error:
        raise UsageError(f"guard.route.template: {path}: {error}") from error
    way = _way(found.body, found.place)
    if way is None:
        raise UsageError(f"guard.route.template: {path} holds {found.place} more than once")
    return Place(way, found.single)


def read(where: Place, body: bytes) -> Inputs:
    """Read the inputs of a request.

    Raises:
        FormatError: Nothing at that place, or neither numbers nor text.
        LimitExceeded: Too large or too deep.
    """
    raw = template.follow(body, where.way)
    if where.single:
        raw = b"[" + raw + b"]"
    try:
        return shaping.inputs(predictions.decode(raw, "inputs"))
    except FormatError:
        if numbers.opening(raw) == b"{":
            rows = numbers.parse(raw, list[dict[str, invocations.Cell]])
            if any(row.keys() != rows[0].keys() for row in rows):
                raise
            return invocations.table(list(rows[0]), [list(row.values()) for row in rows])
        return invocations.table((), numbers.parse(raw, list[list[invocations.Cell]]))


def _way(node: Any, wanted: str) -> tuple[str | int, ...] | None:
    # None as well when it stands at two places: then neither is sure to be the one.
    if node == wanted:
        return ()
    members: list[tuple[str | int, Any]] = []
    if isinstance(node, dict):
        members = list(node.items())
    elif isinstance(node, list):
        members = list(enumerate(node))
    ways = [(step, *way) for step, one in members if (way := _way(one, wanted)) is not None]
    return ways[0] if len(ways) == 1 else None
