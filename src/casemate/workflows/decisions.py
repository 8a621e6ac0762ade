"""Decisions: what the deployments within a radius answered, and whom, by the telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.lineage.graph import Radius
    from casemate.records.edge import Node
    from casemate.store.lineage import LineageBook
    from casemate.store.telemetry.sink import EventQuery

_NAMED = 0.9
"""Confidence that events of a model are of the registered one of the same name."""
_UNVERSIONED = 0.6
"""The same where the events do not say which version answered."""
_WHERE = 'model = ? AND coalesce(version = ?, ?) AND "at" >= ? AND "at" < ?'
_END = 1 << 62


class Window(NamedTuple):
    """Events that may be of something within the radius."""

    node: str
    """Id of the deployment, version or alias."""
    name: str
    model: str
    """As its events carry it."""
    version: str | None
    """Likewise; None for any."""
    since: int
    until: int
    """Microseconds since the epoch; `until` is when another model took its place."""
    confidence: float
    why: str


class Served(NamedTuple):
    """What one of them answered."""

    window: Window
    decisions: int
    principals: int
    first: int | None
    last: int | None
    """`at` of its first and last decision."""
    unread: int
    """Requests in that time that were lost or passed unread."""


def windows(book: LineageBook, radius: Radius) -> list[Window]:
    """Return which events concern a radius: by deployment, else by the names of a registry."""
    reached: list[tuple[Node, float]] = [(node, 1.0) for node in radius.starts]
    for side in (radius.recorded, radius.proposed):
        reached += [(one.node, one.confidence) for found in side.values() for one in found]
    inside = {node.id for node, _ in reached}
    found: list[Window] = []
    for node, confidence in reached:
        if node.kind == "deployment":
            found += _of_deployment(book, node, inside, confidence)
        elif node.kind == "version" or node.kind == "alias":
            named = _of_version(node, confidence)
            if named is not None and not _is_deployed(book, node):
                found.append(named)
    unique: dict[tuple[str, str | None, int, int], Window] = {}
    for one in sorted(found, key=lambda one: -one.confidence):
        unique.setdefault((one.model, one.version, one.since, one.until), one)
    return list(unique.values())


def served(query: EventQuery, wanted: Sequence[Window]) -> tuple[list[Served], int, int]:
    """Count what was decided in each window; return that, all decisions and all principals."""
    found = []
    for one in wanted:
        values = _values(one)
        (row,) = query.sql(
            f"""SELECT count(*) FILTER (kind = 'inference'),
            count(DISTINCT principal) FILTER (kind = 'inference' AND principal <> ''),
            min("at") FILTER (kind = 'inference'), max("at") FILTER (kind = 'inference'),
            coalesce(sum(lost) FILTER (kind IN ('bypassed', 'gap')), 0)
            FROM events WHERE {_WHERE}""",  # noqa: S608 - conditions of ours
            values,
        )[1]
        found.append(Served(one, int(row[0]), int(row[1]), row[2], row[3], int(row[4])))
    if not wanted:
        return [], 0, 0
    # Windows may overlap: a version and its alias are the same events.
    either = " OR ".join(f"({_WHERE})" for _ in wanted)
    (row,) = query.sql(
        f"""SELECT count(*), count(DISTINCT principal) FILTER (principal <> '') FROM events
        WHERE kind = 'inference' AND ({either})""",  # noqa: S608 - conditions of ours
        [value for one in wanted for value in _values(one)],
    )[1]
    return found, int(row[0]), int(row[1])


def _values(one: Window) -> list[Any]:
    # Events without a version count for any where it is not told apart.
    return [one.model, one.version, one.version is None or one.confidence < 1, one.since, one.until]


def _of_deployment(
    book: LineageBook, node: Node, inside: set[str], confidence: float
) -> list[Window]:
    """Return the times a deployment ran something of the radius."""
    steps = [one for one in book.neighbours(node.id, "up") if one.edge.relation == "deployed-as"]
    began = sorted({one.edge.at for one in steps if one.edge.at is not None})
    model = str(node.facts.get("model", node.name))
    version = node.facts.get("version")
    found = []
    for one in steps:
        if one.node.id not in inside:
            continue
        since = one.edge.at
        until = next((at for at in began if since is not None and at > since), _END)
        why = f"{one.edge.by}: {one.node.name} deployed as {node.name}"
        sure = min(confidence, one.edge.confidence)
        found.append(
            Window(
                node.id, node.name, model, None if version is None else str(version),
                since or 0, until, sure, why,
            )
        )  # fmt: skip
    return found or [Window(node.id, node.name, model, None, 0, _END, confidence, "named so")]


def _of_version(node: Node, confidence: float) -> Window | None:
    model = node.facts.get("registered")
    if model is None:
        return None
    version = node.facts.get("version")
    sure = confidence * (_UNVERSIONED if version is None else _NAMED)
    why = "events carry the name and version of this registered model"
    return Window(
        node.id,
        node.name,
        str(model),
        None if version is None else str(version),
        0,
        _END,
        sure,
        why,
    )


def _is_deployed(book: LineageBook, node: Node) -> bool:
    return any(one.edge.relation == "deployed-as" for one in book.neighbours(node.id))
