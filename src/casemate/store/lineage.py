"""LineageBook: what came from what, kept so that its whole reach can be followed at once.

Written by the recorder, the importers and the matcher; read by case, vuln and console. Nodes and
edges are numbered, so that following a million of them is a walk over integers.
"""

from __future__ import annotations

import json
import sys
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from casemate.errors import StoreError, UsageError
from casemate.records.codec import decode, encode
from casemate.records.edge import Edge, Node
from casemate.records.make import make
from casemate.store.reach import Links, Reach, follow, links

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence

    from casemate.store.workspace import Workspace

Direction = Literal["down", "up"]
"""`down`: the way contamination flows. `up`: what something came from."""
EQUAL = "equal digests"
"""The author of edges between two nodes of the same content."""
SMALL = 64
"""Bytes below which equal content says nothing about where it came from."""
_RANK = ("file", "rows", "code", "environment", "dataset", "checkpoint", "model", "version")
_CHUNK = 20_000
_integers = msgspec.json.Decoder(list[int])


class Neighbour(NamedTuple):
    """A node one step away, and the step."""

    node: Node
    edge: Edge


class LineageBook:
    """The lineage of one workspace, shared by every process that opens it."""

    def __init__(self, workspace: Workspace) -> None:
        """Use an open workspace; it stays the caller's to close."""
        self._workspace = workspace

    def add(self, nodes: Iterable[Node], edges: Iterable[Edge] = ()) -> int:
        """Keep nodes and edges, all or none, and return how many were new.

        A node told of again keeps its first name and gains the others, its facts are joined, and
        the kind that says more stays. An edge told of again keeps the higher confidence. Nodes of
        equal content are joined by `same-as`. An end nobody has told of stays as a bare node whose
        fact `told` is false.

        Raises:
            UsageError: A confidence is not above 0 and at most 1.
            StoreError: The workspace cannot be written.
        """
        nodes, edges = list(nodes), list(edges)
        with self._workspace.writing() as database:
            fresh = _add_nodes(database, nodes)
            ends = {end for edge in edges for end in (edge.source, edge.target)}
            numbers = _numbers(database, ends)
            bare = [_bare(end) for end in sorted(ends - numbers.keys())]
            if bare:
                fresh += _add_nodes(database, bare)
                numbers = _numbers(database, ends)
            for edge in edges:
                if not 0 < edge.confidence <= 1:
                    raise UsageError(
                        f"an edge has confidence {edge.confidence}", hint="above 0, at most 1"
                    )
                fresh += _add_edge(database, numbers, edge)
        return fresh

    def node(self, which: str) -> Node:
        """Return a node by id, name, end of its path, or the first 6 or more digits of its digest.

        Raises:
            UsageError: There is none, or more than one is called so.
        """
        found = self.find(which)
        if len(found) == 1:
            return found[0]
        if found:
            some = ", ".join(one.id[:23] for one in found[-3:])
            raise UsageError(
                f"{len(found)} nodes of the lineage are called '{which}'",
                hint=f"give the id, or the digest's first digits: {some}",
            )
        raise UsageError(
            f"the lineage has no node '{which}'",
            hint="casemate lineage show lists them; casemate lineage record -- makes some",
        )

    def find(self, which: str) -> list[Node]:
        """Return every node that `which` may mean, as for `node`, oldest first."""
        digest = which.removeprefix("sha256:").lower()
        hexadecimal = len(digest) >= 6 and not digest.strip("0123456789abcdef")
        ends = f"sha256:{digest}", f"sha256:{digest}g"
        tries: list[tuple[str, tuple[str, ...]]] = [
            ("id = ?", (which,)),
            ("number IN (SELECT node FROM lineage_names WHERE name = ?)", (which,)),
            *([("digest >= ? AND digest < ?", ends)] if hexadecimal else []),
            (
                "number IN (SELECT node FROM lineage_names WHERE substr(name, ?) = ?)",
                (str(-len(which) - 1), f"/{which}"),
            ),
        ]
        with self._workspace.reading() as database:
            for where, values in tries:
                rows = database.execute(
                    f"SELECT body FROM lineage_nodes WHERE {where} ORDER BY number",  # noqa: S608 - conditions of ours
                    values,
                ).fetchall()
                if rows:
                    return [_node(body) for (body,) in rows]
        return []

    def nodes(self, kinds: Sequence[str] = (), limit: int | None = None) -> list[Node]:
        """Return nodes (of some kinds), newest first."""
        with self._workspace.reading() as database:
            rows = database.execute(
                """SELECT body FROM lineage_nodes
                WHERE ?1 = '[]' OR kind IN (SELECT value FROM json_each(?1))
                ORDER BY number DESC LIMIT ?2""",
                (json.dumps(list(kinds)), -1 if limit is None else limit),
            ).fetchall()
        return [_node(body) for (body,) in rows]

    def counts(self) -> dict[str, int]:
        """Return how many nodes of each kind there are, and edges under `edges`."""
        with self._workspace.reading() as database:
            found = dict(database.execute("SELECT kind, count(*) FROM lineage_nodes GROUP BY kind"))
            (edges,) = database.execute("SELECT count(*) FROM lineage_edges").fetchone()
        return {**found, "edges": edges} if edges or found else {}

    def neighbours(self, node: str, direction: Direction = "down") -> list[Neighbour]:
        """Return what is one step from a node, by id; `same-as` leads both ways."""
        here, there = ("source", "target") if direction == "down" else ("target", "source")
        ask = f"""SELECT other.body, edge.body FROM lineage_nodes AS one
            JOIN lineage_edges AS edge ON edge.{here} = one.number
            JOIN lineage_nodes AS other ON other.number = edge.{there} WHERE one.id = ?
            UNION ALL
            SELECT other.body, edge.body FROM lineage_nodes AS one
            JOIN lineage_edges AS edge ON edge.{there} = one.number AND edge.relation = 'same-as'
            JOIN lineage_nodes AS other ON other.number = edge.{here} WHERE one.id = ?"""  # noqa: S608 - names of ours
        with self._workspace.reading() as database:
            rows = database.execute(ask, (node, node)).fetchall()
        return [Neighbour(_node(one), _edge(step)) for one, step in rows]

    def reach(
        self, starts: Iterable[str], direction: Direction = "down", most: int = 5_000_000
    ) -> Reach:
        """Follow every edge from some nodes, recorded ones first, and return all that is reached.

        Args:
            starts: Ids of nodes.
            direction: Which way.
            most: Nodes after which to stop; the answer then says so.

        Raises:
            UsageError: A start is not in the lineage.
        """
        wanted = list(dict.fromkeys(starts))
        here, there = ("source", "target") if direction == "down" else ("target", "source")
        with self._workspace.reading() as database:
            database.execute("BEGIN")  # one moment for all of it: another process may be adding
            try:
                numbers = _numbers(database, wanted)
                recorded = _recorded(database, here, there)
                proposed = _proposed(database, here, there)
            finally:
                database.execute("COMMIT")
        for one in wanted:
            if one not in numbers:
                raise UsageError(
                    f"the lineage has no node '{one}'", hint="casemate lineage show lists them"
                )
        return follow([numbers[one] for one in wanted], recorded, proposed, most)

    def nodes_at(self, numbers: Collection[int]) -> dict[int, Node]:
        """Return the nodes with these numbers, as `reach` gives them."""
        found: dict[int, Node] = {}
        ordered = sorted(numbers)
        with self._workspace.reading() as database:
            for begin in range(0, len(ordered), _CHUNK):
                rows = database.execute(
                    """SELECT number, body FROM lineage_nodes
                    WHERE number IN (SELECT value FROM json_each(?))""",
                    (json.dumps(ordered[begin : begin + _CHUNK]),),
                )
                found.update((number, _node(body)) for number, body in rows)
        return found

    def edges_at(self, numbers: Collection[int]) -> dict[int, Edge]:
        """Return the edges with these numbers."""
        found: dict[int, Edge] = {}
        ordered = sorted(numbers)
        with self._workspace.reading() as database:
            for begin in range(0, len(ordered), _CHUNK):
                rows = database.execute(
                    """SELECT number, body FROM lineage_edges
                    WHERE number IN (SELECT value FROM json_each(?))""",
                    (json.dumps(ordered[begin : begin + _CHUNK]),),
                )
                found.update((number, _edge(body)) for number, body in rows)
        return found

    def kinds_at(self, numbers: Collection[int]) -> dict[int, str]:
        """Return the kind of each of these nodes, without reading them."""
        wanted = set(numbers)
        with self._workspace.reading() as database:
            # The index of the kinds alone answers this.
            rows = database.execute("SELECT number, kind FROM lineage_nodes").fetchall()
        return {number: kind for number, kind in rows if number in wanted}

    def put_rows(self, node: str, digests: Iterable[int], rows: int) -> None:
        """Keep the row digests of a dataset.

        Args:
            node: Its id.
            digests: 64-bit digests of its rows, in any order.
            rows: How many rows it has, equal ones counted.
        """
        packed = array("Q", sorted(set(digests)))
        if sys.byteorder == "big":
            packed.byteswap()
        blob = self._workspace.put_blob(packed.tobytes())
        with self._workspace.writing() as database:
            database.execute(
                """REPLACE INTO lineage_rows (node, rows, blob)
                SELECT number, ?, ? FROM lineage_nodes WHERE id = ?""",
                (rows, blob, node),
            )

    def rows(self, node: str) -> array[int] | None:
        """Return the sorted 64-bit row digests of a dataset; None where none are kept.

        Raises:
            StoreError: They were deleted or altered.
        """
        with self._workspace.reading() as database:
            row = database.execute(
                """SELECT blob FROM lineage_rows JOIN lineage_nodes ON node = number
                WHERE id = ?""",
                (node,),
            ).fetchone()
        if row is None:
            return None
        packed = array("Q", self._workspace.get_blob(row[0]))
        if sys.byteorder == "big":
            packed.byteswap()
        return packed

    def with_rows(self) -> list[str]:
        """Return the ids of the nodes whose row digests are kept."""
        with self._workspace.reading() as database:
            rows = database.execute(
                "SELECT id FROM lineage_rows JOIN lineage_nodes ON node = number ORDER BY node"
            ).fetchall()
        return [str(one) for (one,) in rows]

    def holding(self, digests: Collection[int]) -> dict[str, int]:
        """Return the datasets that hold any of these rows, and how many of them each does."""
        wanted = set(digests)
        found = {}
        for node in self.with_rows():
            rows = self.rows(node)
            held = sum(_holds(rows, one) for one in wanted) if rows else 0
            if held:
                found[node] = held
        return found


def _recorded(database: sqlite3.Connection, here: str, there: str) -> Links:
    # As three lists in JSON they come in half the time that a million rows take.
    columns = database.execute(
        f"""SELECT json_group_array({here}), json_group_array({there}), json_group_array(number)
        FROM (SELECT {here}, {there}, number FROM lineage_edges WHERE confidence = 1
        ORDER BY {here})"""  # noqa: S608 - names of ours
    ).fetchone()
    sources, targets, edges = (array("q", _integers.decode(one)) for one in columns)
    back = database.execute(
        f"""SELECT {there}, {here}, number FROM lineage_edges
        WHERE relation = 'same-as' AND confidence = 1"""  # noqa: S608 - names of ours
    ).fetchall()
    return links(sources, targets, edges, back)


def _proposed(
    database: sqlite3.Connection, here: str, there: str
) -> list[tuple[int, int, int, float]]:
    """Return (from, to, number of the edge, confidence), `same-as` both ways."""
    steps = f"{here}, {there}, number, confidence FROM lineage_edges WHERE confidence < 1"
    back = f"{there}, {here}, number, confidence FROM lineage_edges WHERE confidence < 1"
    return database.execute(
        f"SELECT {steps} UNION ALL SELECT {back} AND relation = 'same-as'"
    ).fetchall()


def _holds(rows: array[int], wanted: int) -> bool:
    place = bisect_left(rows, wanted)
    return place < len(rows) and rows[place] == wanted


def _numbers(database: sqlite3.Connection, ids: Iterable[str]) -> dict[str, int]:
    found = {}
    for one in ids:
        row = database.execute("SELECT number FROM lineage_nodes WHERE id = ?", (one,)).fetchone()
        if row is not None:
            found[one] = int(row[0])
    return found


def _add_nodes(database: sqlite3.Connection, nodes: Sequence[Node]) -> int:
    known = _numbers(database, (node.id for node in nodes))
    fresh = 0
    for node in nodes:
        number = known.get(node.id)
        kept = node
        if number is None:
            fresh += 1
            number = int(
                database.execute(
                    "INSERT INTO lineage_nodes (id, kind, digest, body) VALUES (?, ?, ?, ?)",
                    (node.id, node.kind, node.digest, encode(node)),
                ).lastrowid
                or 0
            )
            known[node.id] = number
        else:
            (body,) = database.execute(
                "SELECT body FROM lineage_nodes WHERE number = ?", (number,)
            ).fetchone()
            kept = _joined(_node(body), node)
            database.execute(
                "UPDATE lineage_nodes SET kind = ?, digest = ?, body = ? WHERE number = ?",
                (kept.kind, kept.digest, encode(kept), number),
            )
        database.execute(
            "INSERT OR IGNORE INTO lineage_names (name, node) VALUES (?, ?)", (node.name, number)
        )
        if kept.digest is not None and not _small(kept):
            _join_equal(database, number, kept)
    return fresh


def _join_equal(database: sqlite3.Connection, number: int, node: Node) -> None:
    row = database.execute(
        "SELECT number, body FROM lineage_nodes WHERE digest = ? AND number <> ? ORDER BY number",
        (node.digest, number),
    ).fetchone()
    if row is not None and not _small(_node(row[1])):
        other = _node(row[1])
        first, second = sorted(((row[0], other.id), (number, node.id)))
        edge = make(Edge, source=first[1], target=second[1], relation="same-as", by=EQUAL)
        _add_edge(database, {first[1]: first[0], second[1]: second[0]}, edge)


def _add_edge(database: sqlite3.Connection, numbers: dict[str, int], edge: Edge) -> int:
    done = database.execute(
        """INSERT INTO lineage_edges (source, target, relation, confidence, body)
        VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, target, relation) DO UPDATE SET
        confidence = excluded.confidence, body = excluded.body
        WHERE excluded.confidence > confidence RETURNING number""",
        (
            numbers[edge.source],
            numbers[edge.target],
            edge.relation,
            edge.confidence,
            encode(edge),
        ),
    ).fetchone()
    return int(done is not None)


def _joined(old: Node, new: Node) -> Node:
    """Return what both say: order does not matter but for names and contradicting facts."""
    facts = {**old.facts, **new.facts}
    if "told" not in new.facts or "told" not in old.facts:
        facts.pop("told", None)
    times = [at for at in (old.at, new.at) if at is not None]
    return msgspec.structs.replace(
        old,
        name=new.name if "told" in old.facts else old.name,
        kind=max(old.kind, new.kind, key=_rank),
        digest=old.digest or new.digest,
        at=min(times, default=None),
        facts=facts,
    )


def _rank(kind: str) -> int:
    return _RANK.index(kind) if kind in _RANK else len(_RANK)


def _bare(ident: str) -> Node:
    return make(Node, id=ident, kind="file", name=ident, facts={"told": False})


def _small(node: Node) -> bool:
    size = node.facts.get("bytes")
    return isinstance(size, int) and size < SMALL


def _node(body: bytes) -> Node:
    one = decode(body)
    if not isinstance(one, Node):
        raise StoreError("a node of the lineage is damaged", hint="casemate lineage import again")
    return one


def _edge(body: bytes) -> Edge:
    one = decode(body)
    if not isinstance(one, Edge):
        raise StoreError("an edge of the lineage is damaged", hint="casemate lineage import again")
    return one
