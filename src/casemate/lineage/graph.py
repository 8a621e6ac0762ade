"""The lineage followed from a node: as a tree for a person, as a radius for a responder."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.records.edge import Edge, Node
    from casemate.store.lineage import Direction, LineageBook
    from casemate.store.reach import Reach

KINDS = ("dataset", "run", "checkpoint", "model", "version", "alias", "deployment", "rows", "file")
"""What a radius names, in the order contamination takes."""


class Branch(NamedTuple):
    """One node of a tree, depth first."""

    node: Node
    edge: Edge
    """The step that led to it."""
    depth: int
    """1 beside the start."""
    again: bool
    """Whether it stands further up already, with what is beyond it."""


class Reached(NamedTuple):
    """A node within a radius."""

    node: Node
    path: tuple[str, ...]
    """Names of the nodes on its shortest way, from a start to the one before it."""
    relation: str
    """Of the last step."""
    by: str
    """Who says so, of the last step."""
    confidence: float
    """1 where every step was recorded; else the product over the best way."""
    why: tuple[str, ...]
    """What the proposed steps on the way rest on; none where every step was recorded."""


class Unknown(NamedTuple):
    """A node within a radius beyond which something should be known and is not."""

    node: Node
    why: str


class Radius(NamedTuple):
    """How far something reaches."""

    starts: tuple[Node, ...]
    recorded: dict[str, list[Reached]]
    """By kind, nearest first: what recorded edges alone lead to."""
    proposed: dict[str, list[Reached]]
    """By kind, most confident first: what only proposals lead to."""
    unknown: list[Unknown]
    counts: dict[str, int]
    """Nodes within it by kind, those not named among them."""
    cut: bool
    """Whether there is more than was followed."""


def tree(
    book: LineageBook, start: str, direction: Direction, *, depth: int = 12, most: int = 500
) -> list[Branch]:
    """Return what lies beyond a node, depth first, each node's own branches once.

    Args:
        book: Where the lineage is kept.
        start: Id of a node.
        direction: `down` for what came from it, `up` for what it came from.
        depth: Most steps.
        most: Most nodes.
    """
    found: list[Branch] = []
    seen = {start}
    waiting = [(one, 1) for one in reversed(book.neighbours(start, direction))]
    while waiting and len(found) < most:
        (node, edge), level = waiting.pop()
        again = node.id in seen
        if again and edge.relation == "same-as":
            continue  # the way back
        found.append(Branch(node, edge, level, again))
        if again or level >= depth:
            continue
        seen.add(node.id)
        beyond = book.neighbours(node.id, direction)
        waiting += [(one, level + 1) for one in reversed(beyond)]
    return found


def radius(
    book: LineageBook, starts: Sequence[str], *, most: int = 5_000_000, named: int = 1_000
) -> Radius:
    """Return everything contamination of some nodes can have come to.

    Args:
        book: Where the lineage is kept.
        starts: Ids of nodes.
        most: Nodes after which to stop following.
        named: Nodes of each kind that are named with their way; all are counted.

    Raises:
        UsageError: A start is not in the lineage.
    """
    reach = book.reach(starts, most=most)
    kinds = book.kinds_at(reach.numbers)
    counts = dict(Counter(kinds.values()))
    chosen = _chosen(reach, kinds, named)
    nodes = book.nodes_at({*chosen, *reach.numbers[: reach.starts]})
    told = _Telling(book, reach, chosen)
    recorded: dict[str, list[Reached]] = {}
    proposed: dict[str, list[Reached]] = {}
    for number in chosen:
        side = proposed if number in reach.confidence else recorded
        side.setdefault(nodes[number].kind, []).append(told.of(number, nodes[number]))
    wanted = sum(1 for number in reach.numbers[reach.starts :] if kinds[number] in KINDS)
    return Radius(
        tuple(nodes[number] for number in reach.numbers[: reach.starts]),
        _in_order(recorded),
        _in_order(proposed),
        _unknown(reach, kinds, nodes),
        {kind: counts[kind] for kind in sorted(counts, key=_place)},
        reach.cut or len(chosen) < wanted,
    )


class _Telling:
    """Tells of nodes with their ways, read in one go."""

    def __init__(self, book: LineageBook, reach: Reach, chosen: Sequence[int]) -> None:
        self._reach = reach
        self._paths = {number: reach.path(number) for number in chosen}
        steps = {step for path in self._paths.values() for _, step in path}
        self._edges = book.edges_at(steps)
        self._nodes = book.nodes_at({node for path in self._paths.values() for node, _ in path})

    def of(self, number: int, node: Node) -> Reached:
        path = self._paths[number]
        edges = [self._edges[step] for _, step in path]
        why = tuple(
            f"{edge.relation} {self._nodes[before].name} ({edge.confidence:.2f}): "
            f"{edge.why or edge.by}"
            for (before, _), edge in zip(path, edges, strict=True)
            if edge.confidence < 1
        )
        return Reached(
            node,
            tuple(self._nodes[before].name for before, _ in path),
            edges[-1].relation,
            edges[-1].by,
            self._reach.confidence.get(number, 1.0),
            why,
        )


def _chosen(reach: Reach, kinds: Mapping[int, str], named: int) -> list[int]:
    """Return the numbers of nodes to be named: the first of each kind, starts left out."""
    left = dict.fromkeys(KINDS, named)
    chosen = []
    for number in reach.numbers[reach.starts :]:
        if left.get(kinds[number]):
            left[kinds[number]] -= 1
            chosen.append(number)
    return chosen


def _place(kind: str) -> int:
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def _in_order(found: dict[str, list[Reached]]) -> dict[str, list[Reached]]:
    return {kind: found[kind] for kind in KINDS if kind in found}


_ENDS = {
    "model": "nothing says where it runs",
    "version": "nothing says where it runs",
    "alias": "nothing says where it runs",
    "dataset": "nothing says what learned from it",
}


def _unknown(reach: Reach, kinds: Mapping[int, str], nodes: Mapping[int, Node]) -> list[Unknown]:
    """Return the named nodes that end where something should follow, and runs not wholly seen."""
    runs = _Leading(reach, {number for number, kind in kinds.items() if kind == "deployment"})
    learnt = _Leading(reach, {n for n, kind in kinds.items() if kind in ("run", "model")})
    found = []
    for number in reach.numbers:
        node = nodes.get(number)
        if node is None:
            continue
        if node.kind == "run":
            if "unseen" in node.facts:
                found.append(Unknown(node, f"not seen of it: {node.facts['unseen']}"))
            elif node.facts.get("state") == "running":
                found.append(Unknown(node, "its end is not on record"))
        elif node.facts.get("told") is False:
            found.append(Unknown(node, "named by others, never told of itself"))
        elif node.kind in _ENDS and not (learnt if node.kind == "dataset" else runs).of(number):
            found.append(Unknown(node, _ENDS[node.kind]))
    return found


class _Leading:
    """Says which nodes of a reach lead to one of some ends; each way that does not is gone once."""

    def __init__(self, reach: Reach, ends: set[int]) -> None:
        self._links = reach.links
        self._ends = ends
        self._not: set[int] = set()
        self._proposed: dict[int, list[int]] = {}
        for number in reach.confidence:
            self._proposed.setdefault(reach.links.sources[reach.via[number]], []).append(number)

    def of(self, number: int) -> bool:
        seen = {number}
        waiting = [number]
        while waiting:
            node = waiting.pop()
            if node in self._ends:
                self._ends.add(number)
                return True
            beyond = [target for target, _ in self._links.beyond(node)]
            for target in (*beyond, *self._proposed.get(node, ())):
                if target not in seen and target not in self._not:
                    seen.add(target)
                    waiting.append(target)
        self._not |= seen
        return False
