"""Lineage: nodes and edges as one source told of them, before they are kept.

What every reader and the recorder return, and what the workspace's book takes in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from casemate.records.edge import Edge, Node


class Lineage(NamedTuple):
    """A part of the lineage: read or recorded, complete but for what `notes` says."""

    nodes: list[Node]
    edges: list[Edge]
    notes: list[str]
    """What could not be seen, read or told, one sentence each."""
