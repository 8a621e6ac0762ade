"""Exchange: one request to a model and its answer, as arrays or text; lives in memory only."""

from __future__ import annotations

from typing import Any

import msgspec


class Exchange(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="exchange/1",
    forbid_unknown_fields=True,
):
    """What one caller asked a model and what it answered; made by guard and import, read by judges.

    Never stored: it holds the inputs themselves. Rows are inputs; a request carries one or more.
    """

    at: int
    """When the request was complete, in microseconds since the Unix epoch, UTC."""
    principal: str
    """Who asked, as the policy reads it: a user behind a service account, not the account."""
    model: str
    rows: int = 1
    """Inputs in the request; at least 1."""
    session: str | None = None
    route: str = ""
    """Name of the `[[guard.route]]` it came through, or the path."""
    version: str | None = None
    protocol: str = ""
    """Codec that read it: `oip`, `oip-binary`, `oip-grpc`, `tfserving`, `mlflow`, `chat` ..."""
    x: Any = None
    """Numeric inputs, numpy (rows, ...), floating or integer; None where there are none."""
    columns: tuple[str, ...] = ()
    """Names of the columns of a table, in the order of x's last axis; empty for other inputs."""
    texts: tuple[str, ...] = ()
    """One text per row (a prompt, or the strings of a row joined by U+001F); empty without text."""
    scores: Any = None
    """The answer's scores, numpy (rows, classes); None when it gave labels alone, or no answer."""
    labels: Any = None
    """The answer's top label per row, numpy int64 (rows,); None where not known."""
    label_names: tuple[str, ...] = ()
    """One per row, where the answer names labels in words."""
    purpose: str | None = None
    """Name of the `[[guard.client]]` it comes from: declared explainers keep their allowance."""
    marked: str | None = None
    """Id of the red-team run that sent it, taken from its own header; None for other traffic."""
