"""Reach: a walk over numbered edges, recorded ones first, then proposed ones by confidence.

Written for a million edges in pure Python: they lie in arrays of plain integers, in order of the
node they leave. Used by the lineage book alone.
"""

from __future__ import annotations

import heapq
from array import array
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    """Edges in order of the node they leave."""

    sources: array[int]
    targets: array[int]
    edges: array[int]
    first: array[int]
    """By node: place of its first edge; the next node's is its end."""

    def beyond(self, node: int) -> Iterator[tuple[int, int]]:
        """Yield (node one step on, place of the edge)."""
        for place in range(self.first[node], self.first[node + 1]):
            yield self.targets[place], place


def follow(
    starts: Sequence[int],
    recorded: Sequence[tuple[int, int, int]],
    proposed: Sequence[tuple[int, int, int, float]],
    most: int,
) -> Reach:
    """Walk from `starts` over all edges; cycles end where they began.

    Args:
        starts: Numbers of nodes, each once.
        recorded: Edges as (from, to, number of the edge), in order of the first.
        proposed: The others, with their confidence above 0 and below 1.
        most: Nodes after which to stop.
    """
    ends = (*(step[0] for step in proposed), *(step[1] for step in proposed))
    links, largest = _linked(recorded, max((*starts, *ends), default=0))
    via = array("q", [-1]) * (largest + 1)
    seen = bytearray(largest + 1)
    for one in starts:
        seen[one] = 1
    order = list(starts)
    first, targets = links.first, links.targets
    cut = False
    # The list grows while it is walked: a breadth-first queue without a queue. Its innermost lines
    # run once for each edge.
    for node in order:
        place = first[node]
        for target in targets[place : first[node + 1]]:
            if not seen[target]:
                seen[target] = 1
                via[target] = place
                order.append(target)
            place += 1
        if len(order) > most:
            cut = True
            break
    if cut:
        del order[most:]
    reach = Reach(order, len(starts), len(order), {}, cut, links, via)
    return reach if cut else _propose(reach, seen, proposed, most)


def _linked(recorded: Sequence[tuple[int, int, int]], largest: int) -> tuple[Links, int]:
    columns: Any = zip(*recorded, strict=True) if recorded else ((), (), ())
    sources, targets, edges = (array("q", column) for column in columns)
    largest = max(largest, max(sources, default=0), max(targets, default=0))
    first = array("q", bytes(8 * (largest + 2)))
    before = -1
    for place, source in enumerate(sources):
        if source != before:
            for node in range(before + 1, source + 1):
                first[node] = place
            before = source
    for node in range(before + 1, largest + 2):
        first[node] = len(sources)
    return Links(sources, targets, edges, first), largest


def _propose(
    reach: Reach,
    seen: bytearray,
    proposed: Sequence[tuple[int, int, int, float]],
    most: int,
) -> Reach:
    """Go on over proposals, the most confident way first (Dijkstra over the product)."""
    order, links = reach.numbers, reach.links
    steps: dict[int, list[tuple[int, int, float]]] = {}
    for source, target, edge, confidence in proposed:
        steps.setdefault(source, []).append((target, len(links.sources), confidence))
        # Behind the last recorded one, where no node's own edges are: `via` can then name it.
        links.sources.append(source)
        links.edges.append(edge)
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
        for target, link in links.beyond(node):
            if not seen[target]:
                heapq.heappush(waiting, (less, link, target))
        for target, link, confidence in steps.get(node, ()):
            if not seen[target]:
                heapq.heappush(waiting, (less * confidence, link, target))
    return reach
