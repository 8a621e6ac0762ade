"""Matching: proposes the steps that nobody recorded, from content alone.

Tables are matched by rows and columns they share, weights by tensors that lie close together,
models by answers that agree where others do not. A proposal is an edge with a confidence below 1
and a sentence of what it rests on; recorded edges are never touched. The confidence is a
probability: of proposals with 0.9, nine in ten were right on data sets and models the figures were
not fitted to (bench/matching.py fits them and reports how far off they are).
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from casemate.lineage import likeness
from casemate.records.edge import Edge
from casemate.records.make import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from casemate.lineage.columns import Marks
    from casemate.lineage.likeness import Answers, Sketch, Tables, Weights
    from casemate.records.edge import Node, Relation

BY = "content matching"
FLOOR = 0.5
"""Confidence below which nothing is proposed."""
MOST = 0.99
"""No proposal is surer than this: content alone never says who copied whom."""
EITHER = 0.9
"""What a proposal is multiplied by when nothing says which of the two came first."""
SAME_ANSWERS = 1e-4
"""Difference of scores up to which two models give the same answers."""
SUREST_ANSWERS = 0.8
"""Confidence below which answers alone propose nothing: there agreement is mostly chance."""
FEWEST = 20
"""Questions on which agreement must rest."""
_CROWD = 400
"""Tables that share one mark beyond which it is no mark: a column of nothing but zeros."""

TABLES = (-5.96, 5.93, 3.77, 4.89, 6.4, 0.89)
"""Weights of: 1, share of rows, how many (log), bits in order, bits in ranks, share of values."""
WEIGHTS = (-7.57, -0.22, 10.35, 10.63, 5.55)
"""Weights of: 1, share covered, share equal, nearness of the rest (log), the least cosine."""
ANSWERS = (-1.38, 4.85, -3.18)
"""Weights of: 1, share of telling answers alike, how many there are (log)."""


class Content(NamedTuple):
    """A node and what is in it, as far as that is at hand."""

    node: Node
    marks: Marks | None = None
    """Of a table."""
    sketch: Sketch | None = None
    """Of weights."""
    answers: Answers | None = None
    """Of a model or a deployment."""


def propose(contents: Sequence[Content], *, floor: float = FLOOR) -> list[Edge]:
    """Return proposed edges between things of like content, the most confident first.

    Equal content needs no proposal: the book of lineage joins equal digests by itself.

    Args:
        contents: What is known of each node; nodes of one digest may be given once.
        floor: Least confidence.
    """
    found = [
        *_tables([one for one in contents if one.marks is not None]),
        *_weights([one for one in contents if one.sketch is not None]),
        *_answers([one for one in contents if one.answers is not None]),
    ]
    best: dict[tuple[str, str], Edge] = {}
    for edge in found:
        key = (edge.source, edge.target)
        if edge.confidence >= floor and (key not in best or best[key].confidence < edge.confidence):
            best[key] = edge
    return sorted(best.values(), key=lambda edge: (-edge.confidence, edge.source, edge.target))


def table_confidence(found: Tables) -> float:
    """Return how probable it is that one of two tables was made from the other."""
    return _squash(TABLES, table_figures(found))


def table_figures(found: Tables) -> tuple[float, ...]:
    """Return the figures the confidence of two tables rests on, each from 0 to 1."""
    return (
        found.contained,
        min(math.log2(1 + found.shared), 12.0) / 12.0,
        min(found.order, 512.0) / 512.0,
        min(found.ranks, 512.0) / 512.0,
        found.values,
    )


def weight_confidence(found: Weights) -> float:
    """Return how probable it is that one of two sets of weights was made from the other."""
    return _squash(WEIGHTS, weight_figures(found))


def weight_figures(found: Weights) -> tuple[float, ...]:
    """Return the figures the confidence of two sets of weights rests on, each from 0 to 1."""
    away = max(1.0 - found.cosine, 1e-4)
    return found.covered, found.same, -math.log10(min(away, 1.0)) / 4.0, max(found.least, 0.0)


def answer_confidence(alike: float, count: int) -> float:
    """Return how probable it is that of two models that answer alike one was made from the other.

    Args:
        alike: Share of the telling questions answered alike.
        count: How many those are.
    """
    return _squash(ANSWERS, answer_figures(alike, count))


def answer_figures(alike: float, count: int) -> tuple[float, ...]:
    """Return the figures the confidence of two models' answers rests on."""
    return alike, min(math.log2(1 + count), 10.0) / 10.0


def _squash(weights: Sequence[float], figures: Sequence[float]) -> float:
    sum_ = weights[0] + sum(w * f for w, f in zip(weights[1:], figures, strict=True))
    return min(MOST, 1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, sum_)))))


def _tables(contents: Sequence[Content]) -> Iterator[Edge]:
    for one, other in _meeting(contents, _marks_in):
        if one.marks is None or other.marks is None:
            continue
        if one.node.digest is not None and one.node.digest == other.node.digest:
            continue
        found = likeness.tables(one.marks, other.marks)
        confidence = table_confidence(found)
        yield from _either_way(one, other, confidence, _said_of_tables(found), _larger)


def _said_of_tables(found: Tables) -> str:
    said = []
    if found.shared:
        said.append(f"{found.shared:,} equal rows, {found.contained:.0%} of the smaller table")
    if found.order >= 1:
        said.append(f"a column in the same order ({found.order:.0f} bits)")
    elif found.ranks >= 1:
        said.append(f"a column of the same ranks ({found.ranks:.0f} bits)")
    if found.values:
        said.append(f"{found.values:.0%} of a column's values")
    return "; ".join(said)


def _weights(contents: Sequence[Content]) -> Iterator[Edge]:
    for one, other in _meeting(contents, _shapes_in):
        if one.sketch is None or other.sketch is None:
            continue
        if one.node.digest is not None and one.node.digest == other.node.digest:
            continue
        found = likeness.weights(one.sketch, other.sketch)
        said = f"{found.covered:.0%} of the weights in tensors of one shape"
        if found.same:
            said += f", {found.same:.0%} of them equal"
        said += f"; cosine of the others {found.cosine:.3f}, the least {found.least:.3f}"
        yield from _either_way(one, other, weight_confidence(found), said, None)


def _answers(contents: Sequence[Content]) -> Iterator[Edge]:
    import numpy as np

    probes: dict[str, list[Content]] = {}
    for one in contents:
        if one.answers is not None:
            probes.setdefault(one.answers.probe, []).append(one)
    for together in probes.values():
        given = [one.answers for one in together if one.answers is not None]
        labels = np.stack(
            [a.scores.argmax(axis=1) if a.scores.ndim == 2 else a.scores for a in given]
        ).astype("i8")
        common = np.array([np.bincount(column - column.min()).argmax() + column.min()
                           for column in labels.T])  # fmt: skip
        for (one, a), (other, b) in combinations(zip(together, given, strict=True), 2):
            alike, count, gap = likeness.answers(a, b, common)
            distinct = len(np.unique(a.scores.round(6), axis=0))
            running = {one.node.kind, other.node.kind} & {"deployment"}
            if gap <= SAME_ANSWERS and distinct >= FEWEST:
                said = f"the same scores for {distinct} different answers"
                model, place = (other, one) if one.node.kind == "deployment" else (one, other)
                relation: Relation = "deployed-as" if running else "same-as"
                yield _edge(model, place, relation, MOST, said)
            elif count >= FEWEST and answer_confidence(alike, count) >= SUREST_ANSWERS:
                said = f"{alike:.0%} of {count} answers alike where most models answer otherwise"
                yield from _either_way(one, other, answer_confidence(alike, count), said, None)


def _either_way(
    one: Content,
    other: Content,
    confidence: float,
    said: str,
    guess: Callable[[Content, Content], bool] | None,
) -> Iterator[Edge]:
    """Yield the edge from the earlier to the later one; both ways where nothing says which."""
    first, second = one.node.at, other.node.at
    if first is not None and second is not None and first != second:
        pair = (one, other) if first < second else (other, one)
        yield _edge(*pair, "derived-from", confidence, said)
        return
    said += "; nothing says which came first"
    if guess is not None and len({guess(one, other), guess(other, one)}) == 2:
        pair = (one, other) if guess(one, other) else (other, one)
        yield _edge(*pair, "derived-from", confidence * EITHER, said + ", the larger one is taken")
        return
    for pair in ((one, other), (other, one)):
        yield _edge(*pair, "derived-from", confidence * EITHER, said)


def _edge(
    source: Content, target: Content, relation: Relation, confidence: float, said: str
) -> Edge:
    return make(
        Edge,
        source=source.node.id,
        target=target.node.id,
        relation=relation,
        by=BY,
        confidence=round(confidence, 4),
        why=said,
    )


def _larger(one: Content, other: Content) -> bool:
    a, b = one.marks, other.marks
    return a is not None and b is not None and a.total > b.total


def _meeting(
    contents: Sequence[Content], marks: Callable[[Content], Iterable[object]]
) -> Iterator[tuple[Content, Content]]:
    """Yield the pairs that have a mark in common, each once, without trying all pairs."""
    holders: dict[object, list[int]] = {}
    for place, one in enumerate(contents):
        for mark in set(marks(one)):
            holders.setdefault(mark, []).append(place)
    seen: set[tuple[int, int]] = set()
    for places in holders.values():
        if 1 < len(places) <= _CROWD:
            seen.update(combinations(places, 2))
    for first, second in sorted(seen):
        yield contents[first], contents[second]


def _marks_in(one: Content) -> Iterator[object]:
    if one.marks is None:
        return
    # Of many rows those whose digests end in zeros: the same ones in every table.
    every = len(one.marks.rows) <= 2_000
    yield from (row for row in one.marks.rows if every or not row & 0x3F)
    for column in one.marks.columns:
        yield "order", column.order
        if column.ranks:
            yield "ranks", column.ranks
        yield from (("value", value) for value in column.values if every or not value & 0x0F)


def _shapes_in(one: Content) -> Iterator[object]:
    if one.sketch is not None:
        for name, shape in one.sketch.parts:
            if len(shape) > 1:
                yield name, shape
                yield shape
