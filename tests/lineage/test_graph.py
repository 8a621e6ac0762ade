"""A radius names what is reached, how, how surely, and where knowledge ends."""

import pytest

from casemate.errors import UsageError
from casemate.lineage.graph import radius, tree
from casemate.records.edge import Edge, Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook
from casemate.store.workspace import Workspace

KINDS = {"d": "dataset", "r": "run", "m": "model", "v": "version", "a": "alias", "p": "deployment"}


@pytest.fixture
def book(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as workspace:
        yield LineageBook(workspace)


def told(book, *steps, facts=None, **proposed):
    """Keep `a>b` steps; proposals are given as `name=(step, confidence, why)`."""
    edges = []
    for step, confidence, why in [*((s, 1.0, None) for s in steps), *proposed.values()]:
        source, target = step.split(">")
        fields = {"source": source, "target": target, "relation": "derived-from", "by": "test"}
        edges.append(make(Edge, **fields, confidence=confidence, why=why))
    names = sorted({end for one in edges for end in (one.source, one.target)})
    nodes = [
        make(Node, id=one, kind=KINDS[one[0]], name=one.upper(), facts=(facts or {}).get(one, {}))
        for one in names
    ]
    book.add(nodes, edges)


def ids(found):
    return {kind: [one.node.id for one in many] for kind, many in found.items()}


def test_from_data_to_where_it_runs(book):
    told(book, "d1>r1", "r1>d2", "d2>r2", "r2>m1", "m1>v1", "v1>a1", "v1>p1", "d9>r9", "r9>m9")
    found = radius(book, ["d1"])
    assert ids(found.recorded) == {
        "dataset": ["d2"], "run": ["r1", "r2"], "model": ["m1"], "version": ["v1"],
        "alias": ["a1"], "deployment": ["p1"],
    }  # fmt: skip
    assert found.proposed == {}
    (deployed,) = found.recorded["deployment"]
    assert deployed.path == ("D1", "R1", "D2", "R2", "M1", "V1")
    assert (deployed.confidence, deployed.why, deployed.by) == (1.0, (), "test")
    assert found.counts["run"] == 2
    assert not found.cut


def test_proposals_stand_apart_with_their_reasons(book):
    told(
        book, "d1>r1", "r1>m1", "m2>p2",
        likely=("m1>m2", 0.8, "weights alike in 9 of 9 layers"),
    )  # fmt: skip
    found = radius(book, ["d1"])
    assert ids(found.recorded) == {"run": ["r1"], "model": ["m1"]}
    assert ids(found.proposed) == {"model": ["m2"], "deployment": ["p2"]}
    (deployed,) = found.proposed["deployment"]
    assert deployed.confidence == pytest.approx(0.8)
    assert deployed.why == ("derived-from M1 (0.80): weights alike in 9 of 9 layers",)


def test_where_knowledge_ends_is_said(book):
    facts = {
        "r1": {"state": "running"},
        "r2": {"state": "complete", "unseen": "files opened by native code"},
    }
    told(book, "d1>r1", "d1>r2", "r2>m1", "r2>m2", "m2>p1", "r2>d2", facts=facts)
    book.add([], [make(Edge, source="m2", target="v:gone", relation="registered-as", by="test")])
    found = {one.node.id: one.why for one in radius(book, ["d1"]).unknown}
    assert found == {
        "r1": "its end is not on record",
        "r2": "not seen of it: files opened by native code",
        "m1": "nothing says where it runs",
        "d2": "nothing says what learned from it",
        "v:gone": "named by others, never told of itself",
    }


def test_a_bound_on_names_leaves_the_counts_whole(book):
    told(book, *(f"d1>m{number}" for number in range(20)))
    found = radius(book, ["d1"], named=5)
    assert len(found.recorded["model"]) == 5
    assert found.counts["model"] == 20
    assert found.cut
    assert radius(book, ["d1"], most=7).cut


def test_a_start_that_is_not_there(book):
    with pytest.raises(UsageError, match="no node"):
        radius(book, ["d1"])


def test_a_tree_shows_each_branch_once(book):
    told(book, "d1>r1", "r1>m1", "d1>r2", "r2>m1", "m1>d1")
    found = [(one.depth, one.node.id, one.again) for one in tree(book, "d1", "down")]
    assert found == [
        (1, "r1", False), (2, "m1", False), (3, "d1", True), (1, "r2", False), (2, "m1", True),
    ]  # fmt: skip
    assert [one.node.id for one in tree(book, "m1", "up", depth=1)] == ["r1", "r2"]
    assert len(tree(book, "d1", "down", most=2)) == 2
