"""Telling: nodes and edges gathered from one source, each said once. Used by the readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from casemate.lineage.found import Lineage
from casemate.records.edge import Edge, Node
from casemate.records.make import make

if TYPE_CHECKING:
    from casemate.records.edge import NodeKind, Relation

LONGEST = 300
"""Characters of a name or a fact that are kept."""


class Telling:
    """Nodes by id, edges by their ends; of two that say the same the one that says more stays."""

    def __init__(self, by: str) -> None:
        """Take who says it all."""
        self.by = by
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str, str], Edge] = {}
        self.notes: list[str] = []

    def node(
        self,
        ident: str,
        kind: NodeKind,
        name: str,
        *,
        digest: str | None = None,
        at: int | None = None,
        facts: dict[str, Any] | None = None,
    ) -> str:
        """Add a node, unless it is there with as much said; returns its id.

        Args:
            ident: Its id.
            kind: What it is.
            name: What a person calls it.
            digest: `sha256:...` of its content.
            at: When it came to be, in milliseconds since the epoch.
            facts: What else is said; empty values are left out.
        """
        known = self.nodes.get(ident)
        if known is None or (known.digest is None and digest is not None):
            said = {key: value for key, value in (facts or {}).items() if value not in (None, "")}
            self.nodes[ident] = make(
                Node,
                id=ident,
                kind=kind,
                name=name[:LONGEST] or ident,
                digest=digest,
                at=None if at is None else at * 1000,
                facts=said,
            )
        return ident

    def edge(
        self,
        source: str,
        target: str,
        relation: Relation,
        *,
        at: int | None = None,
        confidence: float = 1.0,
        why: str | None = None,
    ) -> None:
        """Add an edge, below a confidence of 1 as a proposal; `at` in milliseconds."""
        key = (source, target, relation)
        known = self.edges.get(key)
        if source != target and (known is None or known.confidence < confidence):
            self.edges[key] = make(
                Edge,
                source=source,
                target=target,
                relation=relation,
                by=self.by,
                at=None if at is None else at * 1000,
                confidence=confidence,
                why=why,
            )

    def lineage(self) -> Lineage:
        """Return what was told so far."""
        return Lineage(list(self.nodes.values()), list(self.edges.values()), self.notes)


def plain_uri(uri: str) -> str:
    """Return a URI without what may be a secret: user, password, query, fragment."""
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
        netloc = parts.netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, netloc, parts.path, "", ""))
