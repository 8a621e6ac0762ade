"""The mapping language: `principal=$.user`, `model=fraud`; JSONPath's names and positions.

`$.a.b[0]`, `$['x y']`, `$.items[-1]`; a string that holds JSON is looked into, as loggers like to
put JSON in strings. A value that does not begin with `$` stands for itself. No wildcards, filters
or scripts: a mapping names one place.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from casemate.errors import FormatError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Step = str | int
FIELDS: Mapping[str, str] = {
    "principal": "who asked",
    "session": "the caller's session",
    "model": "name of the model",
    "version": "its version",
    "time": "when, in s, ms, us, ns or ISO 8601",
    "id": "what joins a request and its answer, and tells a line delivered twice",
    "status": "HTTP status of the answer",
    "took": "milliseconds from question to answer",
    "path": "path of the request, which says the protocol",
    "request": "body of the request, as JSON or as a string",
    "response": "body of the answer",
    "input": "one input, where there is no body: numbers, an object by column, or a text",
    "inputs": "a list of inputs",
    "output": "scores or label of one input",
    "outputs": "a list of them",
}
"""What can be mapped, and what it is."""
_NAME = re.compile(r"\.([A-Za-z_@-][\w@:-]*)|\[(-?\d{1,6})\]|\['([^'\]]*)'\]|\[\"([^\"\]]*)\"\]")
_DEEPEST = 32


class Place(NamedTuple):
    """Where a value stands, or the value itself."""

    steps: tuple[Step, ...]
    literal: str | None = None


def read_mapping(texts: Sequence[str]) -> dict[str, Place]:
    """Read `FIELD=PATH` as given on the command line.

    Raises:
        UsageError: Not of that form, an unknown field, a field twice, or not a path.
    """
    found: dict[str, Place] = {}
    for text in texts:
        field, sign, path = text.partition("=")
        field = field.strip()
        if not sign or not path.strip():
            raise UsageError(f"--map {text}: not FIELD=PATH", hint="try principal=$.user")
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(FIELDS)}"
            raise UsageError(f"--map {text}: there is no field '{field}'", hint=hint)
        if field in found:
            raise UsageError(f"--map {text}: '{field}' is mapped twice")
        found[field] = read_place(path.strip())
    return found


def read_place(text: str) -> Place:
    """Read a path, or a value that stands for itself.

    Raises:
        UsageError: It begins with `$` and is not a path.
    """
    if not text.startswith("$"):
        return Place((), text)
    steps: list[Step] = []
    at = 1
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None or len(steps) == _DEEPEST:
            raise UsageError(
                f"'{text[:60]}' is not a path that can be followed",
                hint="names and positions only: $.user, $.a.b[0], $['x y']",
            )
        name, index, single, double = match.groups()
        plain = name if name is not None else single if single is not None else double
        steps.append(int(index) if index is not None else plain)
        at = match.end()
    return Place(tuple(steps))


def follow(raw: bytes | msgspec.Raw, place: Place) -> bytes | msgspec.Raw | None:
    """Return the JSON at a place; None where there is nothing, or null."""
    if place.literal is not None:
        return msgspec.json.encode(place.literal)
    for step in place.steps:
        found = _step(raw, step)
        if found is None:
            return None
        raw = found
    return None if bytes(memoryview(raw)[:4]) == b"null" else raw


def text(raw: bytes | msgspec.Raw | None) -> str | None:
    """Return a JSON string, number or flag as text; None for None and an empty string.

    Raises:
        FormatError: A list or an object, or not JSON.
    """
    if raw is None:
        return None
    try:
        value: object = msgspec.json.decode(raw, type=str | int | float | bool)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("a list or an object where a word was expected") from error
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) or None


def _step(raw: bytes | msgspec.Raw, step: Step) -> bytes | msgspec.Raw | None:
    first = bytes(memoryview(raw)[:64]).lstrip()[:1]
    try:
        if first == b'"':
            raw = msgspec.json.decode(raw, type=str).encode("utf-8", "surrogatepass")
            first = raw.lstrip()[:1]
        if isinstance(step, int):
            return _list.decode(raw)[step] if first == b"[" else None
        return _object.decode(raw).get(step) if first == b"{" else None
    except IndexError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


_list: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
