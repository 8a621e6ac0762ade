"""Reach: a walk over numbered edges, recorded ones first, then proposed ones by confidence.

Written for a million edges in pure Python: they lie in arrays of plain integers, in order of the
node they leave. Used by the lineage book alone.
"""

from __future__ import annotations

import heapq
from array import array
from itertools import islice
from operator import le
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Reach(NamedTuple):
    """What lies beyond some nodes, by the numbers of nodes and edges."""

    numbers: list[int]
    """The starts, then all that recorded edges lead to, nearest first; then the proposals, most
    confident first."""
    starts: int
    """How many of them are starts."""
    exact: int
    """How many of them, from the front, recorded edges alone lead to."""
    confidence: dict[int, float]
    """By node that only proposals lead to: the product over its best way, below 1."""
    cut: bool
    """Whether there is more than was asked for."""
    links: Links
    via: array[int]
    """By node: place in `links` of the edge over which it was first reached, -1 for none."""

    def before(self, number: int) -> tuple[int, int] | None:
        """Return the node before this one on its shortest way, and the edge; None for a start."""
        place = self.via[number]
        return None if place < 0 else (self.links.sources[place], self.links.edges[place])

    def path(self, number: int) -> list[tuple[int, int]]:
        """Return the (node, edge to the next one) on the way to a node, from its start on."""
        steps = []
        while (step := self.before(number)) is not None:
            steps.append(step)
            number = step[0]
        return steps[::-1]


class Links(NamedTuple):
    """Recorded edges in order of the node they leave; behind them others, in any order."""

    sources: array[int]
    targets: array[int]
    edges: array[int]
    """Numbers of the edges."""
    first: dict[int, int]
    """By node: place of the first of the ordered edges that leave it."""
    last: dict[int, int]
    """Likewise the place after its last."""
    others: dict[int, list[int]]
    """Places of those that are not, by the node they leave."""

    def beyond(self, node: int) -> Iterator[tuple[int, int]]:
        """Yield (node one step on, place of the edge)."""
        for place in range(self.first.get(node, 0), self.last.get(node, 0)):
            yield self.targets[place], place
        for place in self.others.get(node, ()):
            yield self.targets[place], place

    def also(self, source: int, target: int, edge: int) -> int:
        """Put an edge behind the others and return its place; `beyond` does not yield it."""
        self.sources.append(source)
        self.targets.append(target)
        self.edges.append(edge)
        return len(self.edges) - 1


def links(
    sources: array[int],
    targets: array[int],
    edges: array[int],
    back: Iterable[tuple[int, int, int]] = (),
) -> Links:
    """Return edges to be followed.

    Args:
        sources: Nodes they leave; put into order where they are not.
        targets: Nodes they lead to, likewise.
        edges: Their numbers, likewise.
        back: Edges besides, as (from, to, number).
    """
    if not all(map(le, sources, islice(sources, 1, None))):
        steps: Any = zip(*sorted(zip(sources, targets, edges, strict=True)), strict=True)
        sources, targets, edges = (array("q", column) for column in steps)
    count = len(edges)
    first = dict(zip(reversed(sources), range(count - 1, -1, -1), strict=True))
    last = dict(zip(sources, range(1, count + 1), strict=True))
    made = Links(sources, targets, edges, first, last, {})
    for source, target, edge in back:
        made.others.setdefault(source, []).append(made.also(source, target, edge))
    return made


def follow(
    starts: Sequence[int],
    steps: Links,
    proposed: Sequence[tuple[int, int, int, float]],
    most: int,
) -> Reach:
    """Walk from `starts` over all edges; cycles end where they began.

    Args:
        starts: Numbers of nodes, each once.
        steps: The recorded edges; proposed ones are put behind them.
        proposed: Those, as (from, to, number, confidence above 0 and below 1).
        most: Nodes after which to stop.
    """
    sources, targets, first, last = steps.sources, steps.targets, steps.first, steps.last
    largest = max(
        max(starts, default=0), max(sources, default=0), max(targets, default=0),
        max((max(step[:2]) for step in proposed), default=0),
    )  # fmt: skip
    via = array("q", [-1]) * (largest + 1)
    seen = bytearray(largest + 1)
    for one in starts:
        seen[one] = 1
    order = list(starts)
    # The list grows while it is walked: a breadth-first queue without a queue. What follows is
    # `beyond`, written out: its innermost lines run once for each edge.
    for node in order:
        place = first.get(node, 0)
        for target in targets[place : last.get(node, 0)]:
            if not seen[target]:
                seen[target] = 1
                via[target] = place
                order.append(target)
            place += 1
        for place in steps.others.get(node, ()):
            target = targets[place]
            if not seen[target]:
                seen[target] = 1
                via[target] = place
                order.append(target)
        if len(order) > most:
            return Reach(order[:most], len(starts), most, {}, True, steps, via)
    reach = Reach(order, len(starts), len(order), {}, False, steps, via)
    return _propose(reach, seen, proposed, most)


def _propose(
    reach: Reach,
    seen: bytearray,
    proposed: Sequence[tuple[int, int, int, float]],
    most: int,
) -> Reach:
    """Go on over proposals, the most confident way first (Dijkstra over the product)."""
    order, recorded = reach.numbers, reach.links
    steps: dict[int, list[tuple[int, int, float]]] = {}
    for source, target, edge, confidence in proposed:
        place = recorded.also(source, target, edge)
        steps.setdefault(source, []).append((target, place, confidence))
    waiting = [
        (-confidence, place, target)
        for node in order
        for target, place, confidence in steps.get(node, ())
    ]
    heapq.heapify(waiting)
    while waiting:
        less, place, node = heapq.heappop(waiting)
        if seen[node]:
            continue
        if len(order) >= most:
            return reach._replace(cut=True)
        seen[node] = 1
        reach.via[node] = place
        reach.confidence[node] = -less
        order.append(node)
        for target, step in recorded.beyond(node):
            if not seen[target]:
                heapq.heappush(waiting, (less, step, target))
        for target, step, confidence in steps.get(node, ()):
            if not seen[target]:
                heapq.heappush(waiting, (less * confidence, step, target))
    return reach
