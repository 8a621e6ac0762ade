"""Templated JSON: any endpoint that takes inputs somewhere in a JSON body and answers in JSON.

Bytes to arrays and back. In the template the string `"$inputs"` stands for the list of all inputs
and `"$input"` for one input, which makes it one request per input; `"$records"` and `"$record"`
are the same as objects by column name. The answer path names the member that holds the
predictions: `result.scores`, `choices[0].probs`, `rows[*].p`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate.errors import FormatError, LimitExceeded
from casemate.targets.wire import numbers, predictions
from casemate.targets.wire.tensor import Answer, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

JSON = "application/json"
_PLACES = ("$inputs", "$input", "$records", "$record")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,6}|\*)\]")
_DEEPEST = 32


class Template(NamedTuple):
    """A parsed template."""

    body: Any
    place: str
    """Which placeholder it holds."""

    @property
    def single(self) -> bool:
        """Whether each request carries one input."""
        return self.place in ("$input", "$record")


def read(text: bytes) -> Template:
    """Read a template file.

    Raises:
        FormatError: Not JSON, or not exactly one kind of placeholder.
        LimitExceeded: Nested too deeply.
    """
    body = numbers.parse(text, Any)
    found = {place for place in _PLACES if _holds(body, place, 0)}
    if len(found) != 1:
        raise FormatError(
            f"the template holds {len(found)} kinds of placeholder",
            hint='write the string "$inputs" (all inputs) or "$input" (one) where they belong',
        )
    return Template(body, found.pop())


def encode_request(
    template: Template, x: npt.NDArray[Any], *, columns: Sequence[str] = ()
) -> Message:
    """Write a question about inputs (n, ...); n is 1 for a template of one input.

    Raises:
        FormatError: x does not fit the template.
    """
    if template.single and len(x) != 1:
        raise FormatError(f"{len(x)} inputs in a template for one")
    value: Any = numbers.lists(x)
    if template.place in ("$record", "$records"):
        if x.ndim != 2 or x.shape[1] != len(columns):
            raise FormatError(f"{len(columns)} column names for inputs of {list(x.shape[1:])}")
        value = [dict(zip(columns, row, strict=True)) for row in value]
    filled = _fill(template.body, template.place, value[0] if template.single else value)
    return Message(numbers.dump(filled), JSON)


def decode_response(message: Message, path: str = "") -> Answer:
    """Read the predictions an answer holds at a path; the whole answer without one.

    Raises:
        FormatError: Not JSON, or nothing at that path.
        LimitExceeded: Nested too deeply.
    """
    return predictions.decode(follow(message.body, steps(path), path))


def steps(path: str) -> tuple[str | int, ...]:
    """Return the steps of an answer path: names, positions, and `*` for every element.

    Raises:
        FormatError: Not a path.
    """
    found: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or len(found) == _DEEPEST:
            raise FormatError(f"{path[:60]!r} is not a path such as result.scores[0]")
        name, index = match.groups()
        found.append(name if name is not None else index if index == "*" else int(index))
        at = match.end()
    return tuple(found)


def follow(raw: bytes | msgspec.Raw, way: tuple[str | int, ...], path: str = "") -> bytes:
    """Return the JSON that stands at the end of some steps into a body.

    Raises:
        FormatError: Not JSON, or nothing there.
        LimitExceeded: Nested too deeply.
    """
    for position, step in enumerate(way):
        if step == "*":
            rest = way[position + 1 :]
            parts = numbers.parse(raw, list[msgspec.Raw])
            return b"[" + b",".join(follow(part, rest, path) for part in parts) + b"]"
        try:
            if isinstance(step, int):
                raw = numbers.parse(raw, list[msgspec.Raw])[step]
            else:
                raw = numbers.parse(raw, dict[str, msgspec.Raw])[step]
        except (KeyError, IndexError, FormatError) as error:
            said = path[:60] or ".".join(map(str, way))[:60]
            raise FormatError(f"there is nothing at '{said}'") from error
    return bytes(raw)


def _holds(node: object, place: str, level: int) -> bool:
    if level > _DEEPEST:
        raise LimitExceeded(f"a template nested more than {_DEEPEST} deep")
    if isinstance(node, dict):
        return any(_holds(value, place, level + 1) for value in node.values())
    if isinstance(node, list):
        return any(_holds(value, place, level + 1) for value in node)
    return node == place


def _fill(node: Any, place: str, value: Any) -> Any:
    if isinstance(node, dict):
        return {key: _fill(member, place, value) for key, member in node.items()}
    if isinstance(node, list):
        return [_fill(member, place, value) for member in node]
    return value if node == place else node
