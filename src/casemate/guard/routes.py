"""Which route a request belongs to, and which model it asks.

The policy's own routes first, then the paths that the known protocols fix. A path is matched as
servers read it: decoded once, without empty and dot segments, so that another spelling of a
guarded path is still guarded.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from casemate.errors import UsageError
from casemate.guard.policy import RouteTable
from casemate.guard.templates import Place, place

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_KEPT = 4096
_KNOWN = (
    (re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer"), "oip"),
    (re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/generate"), "chat"),
    (
        re.compile(
            r"/v1/models/(?P<model>[^/:]+)(?:/(?:versions|labels)/(?P<version>[^/:]+))?"
            r":(?:predict|classify|regress|explain)"
        ),
        "tfserving",
    ),
    (re.compile(r"/inference\.GRPCInferenceService/ModelInfer"), "oip-grpc"),
    # SageMaker's front door and Databricks name the endpoint before it.
    (
        re.compile(
            r"(?:/.*)?/(?:serving-)?endpoints/(?P<model>[^/]+)"
            r"(?:/served-models/(?P<version>[^/]+))?/invocations"
        ),
        "invocations",
    ),
    (re.compile(r"(?:/.*)?/invocations"), "invocations"),
    (re.compile(r"(?:/.*)?/v1/(?:chat/completions|completions|embeddings|responses)"), "chat"),
)
_IN_PATH = re.compile(r"/(?:models|predictions)/([^/:]+)(?:/versions/([^/:]+))?")


class Route(NamedTuple):
    """Where a request belongs."""

    name: str
    protocol: str
    """`invocations` and `oip-grpc` besides the policy's own words; never `auto`."""
    model: str
    version: str | None
    table: RouteTable
    trained: int | None
    newest_row: int | None
    place: Place | None = None
    """Templated JSON: where the inputs stand."""


class Routes:
    """Finds the route of a path; remembers the latest paths."""

    def __init__(self, tables: Sequence[RouteTable], root: Path) -> None:
        """Prepare the routes.

        Raises:
            UsageError: A day or time that is none, a match that is no path, or a template that
                cannot be read.
        """
        self._own = [
            (
                _pattern(table.match),
                table,
                _moment(table.trained, "trained"),
                _moment(table.newest_row, "newest_row"),
                place(root / table.template) if table.template else None,
            )
            for table in tables
        ]
        self._found: dict[str, Route | None] = {}

    def find(self, path: str) -> Route | None:
        """Return the route of a percent-encoded path, None for paths that serve no inference."""
        try:
            return self._found[path]
        except KeyError:
            pass
        if len(self._found) >= _KEPT:
            self._found.clear()
        route = self._found[path] = self._look(canonical(path))
        return route

    def _look(self, path: str) -> Route | None:
        for pattern, table, trained, newest, where in self._own:
            if pattern.fullmatch(path):
                protocol, model, version = _known(path)
                if table.protocol != "auto":
                    protocol = table.protocol
                return Route(
                    table.name or table.match,
                    protocol or "opaque",
                    table.model or model,
                    table.version or version,
                    table,
                    trained,
                    newest,
                    where,
                )
        protocol, model, version = _known(path)
        if not protocol:
            return None
        return Route(path, protocol, model, version, RouteTable(match=path), None, None)


def canonical(path: str) -> str:
    """Return a path as servers read it: decoded, without empty, `.` and `..` segments."""
    kept: list[str] = []
    for segment in unquote(path).split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def _known(path: str) -> tuple[str, str, str | None]:
    for pattern, protocol in _KNOWN:
        found = pattern.fullmatch(path)
        if found:
            groups = found.groupdict()
            return protocol, groups.get("model") or "", groups.get("version")
    found = _IN_PATH.search(path)
    return ("", found[1], found[2]) if found else ("", "", None)


def _pattern(match: str) -> re.Pattern[str]:
    if not match.startswith("/"):
        raise UsageError(f"guard.route.match: {match!r} is not a path", hint="/v2/models/*/infer")
    parts = re.split(r"(\*\*|\*)", match.rstrip("/") or "/")
    wild = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _moment(text: str | None, key: str) -> int | None:
    if text is None:
        return None
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
        else:
            found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"guard.route.{key}: {text!r} is no day or time", hint=str(error)
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return round(found.timestamp() * 1_000_000)
