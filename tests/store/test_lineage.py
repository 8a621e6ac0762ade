"""The lineage book: what is told twice, what is of equal content, and how far a thing reaches."""

import random
import threading

import pytest

from casemate.errors import StoreError, UsageError
from casemate.records.edge import Edge, Node
from casemate.records.make import make
from casemate.store.lineage import LineageBook
from casemate.store.workspace import Workspace


@pytest.fixture
def book(tmp_path):
    with Workspace.open(tmp_path / ".casemate") as workspace:
        yield LineageBook(workspace)


def node(ident, kind="dataset", name="", **fields):
    return make(Node, id=ident, kind=kind, name=name or ident, **fields)


def edge(source, target, relation="derived-from", **fields):
    return make(Edge, source=source, target=target, relation=relation, by="test", **fields)


def ids(book, reach):
    nodes = book.nodes_at(reach.numbers)
    return [nodes[number].id for number in reach.numbers]


def digest(mark):
    return f"sha256:{mark * 64}"


def test_reach_follows_the_way_contamination_flows(book):
    book.add([node("a"), node("b"), node("c"), node("d")], [edge("a", "b"), edge("b", "c")])
    assert ids(book, book.reach(["a"])) == ["a", "b", "c"]
    assert ids(book, book.reach(["c"], "up")) == ["c", "b", "a"]
    assert ids(book, book.reach(["d"])) == ["d"]


def test_cycles_end_and_same_as_leads_both_ways(book):
    nodes = [node(name) for name in "abcd"]
    book.add(nodes, [edge("a", "b"), edge("b", "a"), edge("c", "b", "same-as"), edge("c", "d")])
    assert set(ids(book, book.reach(["a"]))) == set("abcd")
    assert {one.node.id for one in book.neighbours("b")} == {"a", "c"}


def test_the_shortest_way_is_kept_and_can_be_told(book):
    book.add(
        [node(name) for name in "abcd"],
        [edge("a", "b"), edge("b", "c"), edge("c", "d"), edge("a", "c")],
    )
    reach = book.reach(["a"])
    nodes = book.nodes_at(reach.numbers)
    (last,) = [number for number, one in nodes.items() if one.id == "d"]
    steps = reach.path(last)
    assert [nodes[number].id for number, _ in steps] == ["a", "c"]
    edges = book.edges_at([step for _, step in steps])
    assert [edges[step].target for _, step in steps] == ["c", "d"]


def test_proposals_come_after_what_is_recorded_and_carry_the_best_product(book):
    book.add(
        [node(name) for name in "abcde"],
        [
            edge("a", "b"),
            edge("b", "c", confidence=0.5, why="weights alike"),
            edge("a", "d", confidence=0.9),
            edge("d", "c", confidence=0.9),
            edge("c", "e"),
        ],
    )
    reach = book.reach(["a"])
    found = book.nodes_at(reach.numbers)
    assert [found[number].id for number in reach.numbers] == ["a", "b", "d", "c", "e"]
    assert reach.exact == 2
    confidence = {found[number].id: value for number, value in reach.confidence.items()}
    assert confidence == pytest.approx({"d": 0.9, "c": 0.81, "e": 0.81})
    (last,) = [number for number, one in found.items() if one.id == "e"]
    assert [found[number].id for number, _ in reach.path(last)] == ["a", "d", "c"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("direction", ["down", "up"])
def test_reach_is_exact_on_random_graphs(book, seed, direction):
    rng = random.Random(seed)
    nodes = 60
    pairs = {(rng.randrange(nodes), rng.randrange(nodes)) for _ in range(70)}
    same = {(a, b) for a, b in pairs if rng.random() < 0.2}
    book.add(
        [node(f"n:{one}") for one in range(nodes)],
        [
            edge(f"n:{a}", f"n:{b}", "same-as" if (a, b) in same else "derived-from")
            for a, b in pairs
        ],
    )
    steps = {(a, b) if direction == "down" else (b, a) for a, b in pairs}
    steps |= {(b, a) for a, b in same} | same
    expected = {0}
    while more := {b for a, b in steps if a in expected} - expected:
        expected |= more
    reach = book.reach(["n:0"], direction)
    assert set(ids(book, reach)) == {f"n:{one}" for one in expected}
    assert len(reach.numbers) == len(expected) == reach.exact
    assert not reach.cut


def test_what_was_cut_off_is_said(book):
    book.add([node(f"n:{i}") for i in range(9)], [edge("n:0", f"n:{i}") for i in range(1, 9)])
    reach = book.reach(["n:0"], most=4)
    assert len(reach.numbers) == 4
    assert reach.cut
    assert not book.reach(["n:0"], most=9).cut


def test_a_node_told_of_again_gains_and_loses_nothing(book):
    one = node(digest("a"), "file", "train.csv", digest=digest("a"), at=5, facts={"bytes": 100})
    other = node(digest("a"), "dataset", "copy.csv", at=3, facts={"rows": 7})
    assert book.add([one]) == 1
    assert book.add([other, other]) == 0
    kept = book.node("copy.csv")
    assert (kept.name, kept.kind, kept.at) == ("train.csv", "dataset", 3)
    assert kept.facts == {"bytes": 100, "rows": 7}
    assert kept.digest == digest("a")


def test_equal_content_under_two_ids_is_joined(book):
    facts = {"bytes": 4096}
    book.add([node("dvc:train.csv", digest=digest("b"), facts=facts), node("m", "model")])
    book.add([node(digest("b"), "file", digest=digest("b"), facts=facts)], [edge(digest("b"), "m")])
    assert set(ids(book, book.reach(["dvc:train.csv"]))) == {"dvc:train.csv", digest("b"), "m"}
    (step,) = [one.edge for one in book.neighbours("dvc:train.csv")]
    assert (step.relation, step.by, step.confidence) == ("same-as", "equal digests", 1.0)


def test_small_equal_content_says_nothing(book):
    """An empty file of one run is not where another run's empty file came from."""
    facts = {"bytes": 0}
    book.add([node("x:1", "file", digest=digest("e"), facts=facts)])
    book.add([node("x:2", "file", digest=digest("e"), facts=facts)])
    assert book.neighbours("x:1") == []


def test_an_edge_told_of_again_keeps_the_higher_confidence(book):
    book.add([node("a"), node("b")], [edge("a", "b", confidence=0.4)])
    book.add([], [edge("a", "b", confidence=1.0)])
    book.add([], [edge("a", "b", confidence=0.2)])
    (kept,) = book.neighbours("a")
    assert kept.edge.confidence == 1.0


def test_an_end_nobody_told_of_stays_bare_until_somebody_does(book):
    book.add([node("a")], [edge("a", "b")])
    assert book.node("b").facts == {"told": False}
    book.add([node("b", "model", "fraud", facts={"bytes": 9})])
    assert book.node("b").facts == {"bytes": 9}
    assert (book.node("fraud").kind, book.node("fraud").name) == ("model", "fraud")


def test_a_confidence_beyond_its_range_is_refused_and_nothing_is_kept(book):
    with pytest.raises(UsageError, match="confidence"):
        book.add([node("a"), node("b")], [edge("a", "b", confidence=1.5)])
    assert book.counts() == {}


def test_a_node_is_found_by_what_a_person_has_at_hand(book):
    book.add(
        [
            node(f"sha256:{'ab' * 32}", name="data/train.csv", digest=f"sha256:{'ab' * 32}"),
            node(f"sha256:{'cd' * 32}", name="old/train.csv", digest=f"sha256:{'cd' * 32}"),
        ]
    )
    assert book.node("ababab").name == "data/train.csv"
    assert book.node("sha256:CDCDCDCD").name == "old/train.csv"
    assert book.node("data/train.csv").id.startswith("sha256:ab")
    with pytest.raises(UsageError, match="2 nodes") as error:
        book.node("train.csv")
    assert "sha256:abab" in error.value.hint
    with pytest.raises(UsageError, match="no node 'ab'"):
        book.node("ab")
    with pytest.raises(UsageError, match="no node"):
        book.reach(["nothing"])


HOSTILE = [
    "../../etc/passwd",
    "a\x00b",
    "'; DROP TABLE lineage_nodes; --",
    "%",
    "\x1b[2J",
    "x" * 90_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_kept_as_they_are(book, name):
    book.add([node(f"x:{name}", name=name), node("b")], [edge(f"x:{name}", "b")])
    assert book.node(name).name == name
    assert ids(book, book.reach([f"x:{name}"])) == [f"x:{name}", "b"]
    assert book.counts() == {"dataset": 2, "edges": 1}


def test_rows_are_found_in_every_dataset_that_holds_them(book, tmp_path):
    book.add([node("a"), node("b"), node("c")])
    book.put_rows("a", [5, 1, 2**64 - 1, 5], 4)
    book.put_rows("b", [7, 8], 2)
    assert list(book.rows("a")) == [1, 5, 2**64 - 1]
    assert book.rows("c") is None
    assert book.holding([5, 2**64 - 1, 6]) == {"a": 2}
    assert book.holding([8, 1]) == {"a": 1, "b": 1}
    for blob in (tmp_path / ".casemate" / "blobs").rglob("*"):
        if blob.is_file():
            blob.write_bytes(b"x")
    with pytest.raises(StoreError, match="changed since"):
        book.holding([5])


def test_two_tell_at_once_and_nothing_is_lost(tmp_path):
    folder = tmp_path / ".casemate"
    Workspace.open(folder).close()
    faults = []

    def tell(mark):
        try:
            with Workspace.open(folder) as workspace:
                mine = LineageBook(workspace)
                for turn in range(15):
                    mine.add(
                        [node("shared", facts={mark: turn}), node(f"{mark}:{turn}")],
                        [edge("shared", f"{mark}:{turn}")],
                    )
        except StoreError as error:
            faults.append(error)

    tellers = [threading.Thread(target=tell, args=(mark,)) for mark in ("one", "two")]
    for one in tellers:
        one.start()
    for one in tellers:
        one.join()
    assert faults == []
    with Workspace.open(folder) as workspace:
        book = LineageBook(workspace)
        assert len(book.reach(["shared"]).numbers) == 31
        assert book.node("shared").facts == {"one": 14, "two": 14}
