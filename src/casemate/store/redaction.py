"""Redaction: what must never be kept is taken out of a payload before it is stored.

Fields are found by name: members of JSON objects, columns of data frames and CSV, tensors. Where a
body has columns without names, or cannot be read at all, nothing of it is kept: it cannot be known
what is in it.
"""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

MARK = "[redacted]"
_POSITIONAL = frozenset({"instances", "inputs", "data", "dataframe_split", "predictions"})
_DEEPEST = 64


class _UnknownError(Exception):
    """It cannot be told what is in it."""


def redact(
    body: bytes, content_type: str, fields: Collection[str], columns: Sequence[str] = ()
) -> bytes | None:
    """Return the body without the fields, or None when it cannot be told where they are.

    Args:
        body: Not compressed.
        content_type: As the caller gave it.
        fields: Names, in any case; `a.b` is the member `b` of a member `a`. None leave it as it is.
        columns: Names of the columns, in order, for bodies that give them by position.
    """
    if not fields:
        return body
    wanted = frozenset(one.casefold() for one in fields)
    places = tuple(one.casefold() for one in columns)
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind in ("text/csv", "application/csv"):
            return _csv(body.decode("utf-8"), wanted, places).encode()
        if kind.endswith("json") or kind == "":
            value = json.loads(body)
            return json.dumps(
                _value(value, wanted, places, "", 0), ensure_ascii=False, separators=(",", ":")
            ).encode()
    except (_UnknownError, ValueError, RecursionError, csv.Error):
        return None
    return None


def _value(value: Any, wanted: frozenset[str], places: Sequence[str], path: str, deep: int) -> Any:
    if deep > _DEEPEST:
        raise _UnknownError
    if isinstance(value, dict):
        return _object(value, wanted, places, path, deep)
    if isinstance(value, list):
        if value and all(_plain(one) for one in value):
            name = path.rpartition(".")[2]
            return _row(value, wanted, places) if name in _POSITIONAL or not name else value
        return [
            _row(one, wanted, places)
            if isinstance(one, list) and one and all(_plain(cell) for cell in one)
            else _value(one, wanted, places, path, deep + 1)
            for one in value
        ]
    return value


def _object(
    value: dict[str, Any], wanted: frozenset[str], places: Sequence[str], path: str, deep: int
) -> dict[str, Any]:
    inner = value.get("columns")
    if isinstance(inner, list) and all(isinstance(one, str) for one in inner):
        places = tuple(one.casefold() for one in inner)  # pandas, orient="split"
    found: dict[str, Any] = {}
    tensor = str(value.get("name", "")).casefold() in wanted and "data" in value
    for name, one in value.items():
        key = name.casefold()
        here = f"{path}.{key}" if path else key
        if name == "columns":
            found[name] = one
        elif key in wanted or _named(here, wanted) or (tensor and name == "data"):
            found[name] = MARK
        elif name == "data" and isinstance(value.get("shape"), list) and "name" in value:
            found[name] = _tensor(one, value["shape"], wanted, places)
        else:
            found[name] = _value(one, wanted, places, here, deep + 1)
    return found


def _tensor(data: Any, shape: list[Any], wanted: frozenset[str], places: Sequence[str]) -> Any:
    """Redact the columns of a named tensor; one column is what its name says."""
    if len(shape) < 2 or shape[-1] == 1:
        return data
    flat: list[Any] = []
    stack = [data]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(reversed(one))
        else:
            flat.append(one)
    width = len(places)
    if not width or shape[-1] != width or len(flat) % width:
        raise _UnknownError
    return [MARK if places[n % width] in wanted else one for n, one in enumerate(flat)]


def _row(row: list[Any], wanted: frozenset[str], places: Sequence[str]) -> list[Any]:
    if len(row) != len(places):
        raise _UnknownError
    return [MARK if name in wanted else one for name, one in zip(places, row, strict=True)]


def _csv(text: str, wanted: frozenset[str], places: Sequence[str]) -> str:
    rows = list(csv.reader(io.StringIO(text), strict=True))
    if not rows:
        return text
    first = [one.strip().casefold() for one in rows[0]]
    if places and len(first) == len(places):
        head = rows[:1] if tuple(first) == tuple(places) else []
    elif set(first) & wanted and not _numbers(first):
        places, head = first, rows[:1]
    else:
        raise _UnknownError
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(head)
    writer.writerows(_row(row, wanted, places) for row in rows[len(head) :] if row)
    return out.getvalue()


def _numbers(cells: Sequence[str]) -> bool:
    """Say whether any cell is a number, so that it is no line of names."""
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            continue
        return True
    return False


def _named(path: str, wanted: frozenset[str]) -> bool:
    return any("." in one and (path == one or path.endswith(f".{one}")) for one in wanted)


def _plain(value: Any) -> bool:
    return not isinstance(value, list | dict)
