"""Edge: what came from what and runs where, and the nodes it joins.

An edge points the way contamination flows: rows -> dataset -> run -> model -> deployment.
"""

from __future__ import annotations

from typing import Literal

import msgspec

NodeKind = Literal[
    "rows",
    "file",
    "dataset",
    "code",
    "environment",
    "run",
    "checkpoint",
    "model",
    "version",
    "alias",
    "deployment",
]
"""`rows`: part of a dataset, by source or contributor. `model`: weights, known by their digest.
`version`: an entry of a registry. `alias`: a name a registry gives a version, such as `@prod`.
`deployment`: where it answers, known to the guard by the name its events carry."""
Relation = Literal[
    "part-of",
    "read-by",
    "made",
    "derived-from",
    "registered-as",
    "aliased-as",
    "deployed-as",
    "same-as",
]
"""Source to target: rows are `part-of` a dataset, a dataset is `read-by` a run, a run `made` a
model, a model gives one that is `derived-from` it, is `registered-as` a version, which is
`aliased-as` and `deployed-as`. `same-as` holds both ways: the same content under two names."""


class Node(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="node/1",
    forbid_unknown_fields=True,
):
    """A thing in the lineage: made by lineage, read by case and vuln."""

    id: str
    """Unique and stable: `sha256:...` for content, else `<origin>:<path>`, as
    `mlflow:models/fraud/3`, `file:data/train.csv`, `run:run-01...`."""
    kind: NodeKind
    name: str
    """What a person calls it."""
    digest: str | None = None
    """`sha256:` and 64 hex digits of its content, where it has one."""
    at: int | None = None
    """When it came to be, in microseconds since the epoch."""
    facts: dict[str, str | int | float | bool] = {}
    """What the source said besides: `rows`, `uri`, `seed`, `stage`, `contributor` ..."""


class Edge(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="edge/1",
    forbid_unknown_fields=True,
):
    """One step of lineage: made by lineage, recorded as it happened or proposed afterwards."""

    source: str
    """Id of a Node."""
    target: str
    """Id of the Node that came from it, or runs it."""
    relation: Relation
    by: str
    """Who says so: `lineage record`, `mlflow http://...`, `content matching`, a person."""
    at: int | None = None
    """When it was recorded, in microseconds since the epoch."""
    confidence: float = 1.0
    """1 for what was recorded; below 1 it is a proposal."""
    why: str | None = None
    """For a proposal: what it rests on, in words."""
