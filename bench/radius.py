"""How fast and how exactly the reach of contaminated data is found on a large lineage.

A lineage of data sets, runs, models, versions and deployments is made by a seeded generator, kept
in a real workspace, and followed from several data sets. The answer is compared with a plain walk
over the generator's own edges.

    python bench/radius.py [--edges 1000000] [--starts 5]

CPU seconds are of this process; `spin` is the time of ten million additions here and now, to tell a
busy or slow machine from a slow program (0.35 to 0.45 on an idle core of 2023).
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

from casemate.lineage.graph import radius
from casemate.records.edge import Edge, Node
from casemate.store.lineage import LineageBook
from casemate.store.workspace import Workspace

KINDS = ("dataset", "run", "model", "version", "deployment")
STEPS = ("read-by", "made", "registered-as", "deployed-as")


def make(edges: int, seed: int) -> tuple[list[Node], list[tuple[int, int]]]:
    """Return nodes and edges as places in them: five layers, and data sets made by runs."""
    rng = random.Random(seed)
    layer = edges // 10
    kinds = [KINDS[number // layer] for number in range(5 * layer)]
    steps = set()
    while len(steps) < edges:
        at = rng.randrange(4)
        source = at * layer + int(layer * rng.random() ** 2)  # a few are used by many
        if at == 1 and rng.random() < 0.3:
            steps.add((source, rng.randrange(layer)))  # a run that makes a data set
        else:
            steps.add((source, (at + 1) * layer + rng.randrange(layer)))
    nodes = [Node(id=f"b:{n}", kind=kind, name=f"{kind} {n}") for n, kind in enumerate(kinds)]  # type: ignore[arg-type]
    return nodes, sorted(steps)


def step(source: Node, target: Node) -> Edge:
    relation = "made" if target.kind == "dataset" else STEPS[KINDS.index(source.kind)]
    return Edge(source=source.id, target=target.id, relation=relation, by="bench")  # type: ignore[arg-type]


def walk(edges: list[tuple[int, int]], start: int) -> set[int]:
    """Return what can be reached, by sets alone."""
    beyond: dict[int, list[int]] = {}
    for source, target in edges:
        beyond.setdefault(source, []).append(target)
    seen, waiting = {start}, [start]
    while waiting:
        for target in beyond.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def spin() -> float:
    began = time.process_time()
    number = 0
    for add in range(10_000_000):
        number += add
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    nodes, edges = make(args.edges, args.seed)
    with tempfile.TemporaryDirectory() as folder, Workspace.open(Path(folder, "ws")) as workspace:
        book = LineageBook(workspace)
        began = time.process_time()
        book.add(nodes, [step(nodes[a], nodes[b]) for a, b in edges])
        took = time.process_time() - began
        print(f"{len(nodes):,} nodes, {len(edges):,} edges; kept in {took:.1f} CPU s")
        print(f"{'start':>8} {'reached':>9} {'exact':>6} {'reach':>8} {'named':>8} {'spin':>6}")
        rng = random.Random(args.seed + 1)
        for start in (rng.randrange(args.edges // 10) for _ in range(args.starts)):
            began = time.process_time()
            reach = book.reach([nodes[start].id])
            first = time.process_time() - began
            began = time.process_time()
            found = radius(book, [nodes[start].id])
            second = time.process_time() - began
            expected = walk(edges, start)
            ids = {int(one.id[2:]) for one in book.nodes_at(reach.numbers).values()}
            exact = ids == expected and sum(found.counts.values()) == len(expected)
            print(
                f"{start:>8} {len(reach.numbers):>9,} {'yes' if exact else 'NO':>6} "
                f"{first:>6.2f} s {second:>6.2f} s {spin():>6.2f}"
            )
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


if __name__ == "__main__":
    main()
