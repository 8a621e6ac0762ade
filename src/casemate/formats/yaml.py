"""YAML as data with places: nothing is built but text, numbers, lists and maps.

It reads events, not objects, so that no tag makes anything. Aliases are refused, since a few lines
of them mean gigabytes; so are depths and lengths no file written by people has. JSON is YAML too.
Plain scalars mean what YAML 1.2's core schema says (yaml.org/spec/1.2.2, section 10.3).
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import FormatError, LimitExceeded, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 8 << 20
"""Characters."""
DEPTH = 60
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d{1,3})?")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Item(NamedTuple):
    """A value and where it stands."""

    value: Any
    """Text, a number, None; a list of Items; a dict of Items by their keys as text."""
    start: int
    """Offset in characters."""
    end: int
    """Offset just behind it; of a block, behind what its last line ends with."""
    column: int
    flow: bool
    """Whether a list or map is written in brackets, as in JSON."""


def read(text: str) -> Item:
    """Return the first document of a text.

    Raises:
        FormatError: It is no YAML.
        LimitExceeded: It is too long, too deep, or has aliases.
        MissingExtra: PyYAML is not installed.
    """
    for found in documents(text):
        return found
    return Item(None, 0, 0, 0, flow=False)


def documents(text: str) -> Iterator[Item]:
    """Yield each document of a text; raises as `read`."""
    yaml: Any
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise MissingExtra("case", for_="reading YAML") from error
    if len(text) > LONGEST:
        raise LimitExceeded(f"the YAML is longer than {LONGEST:,} characters")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    stack: list[Any] = []
    try:
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise LimitExceeded(
                    "the YAML repeats a part by an alias (*name), which is not followed",
                    offset=event.start_mark.index,
                )
            if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                if len(stack) >= DEPTH:
                    raise LimitExceeded(f"the YAML is nested more than {DEPTH} deep")
                stack.append(_Open(event))
            elif isinstance(event, yaml.ScalarEvent):
                item = Item(
                    _scalar(event),
                    event.start_mark.index,
                    event.end_mark.index,
                    event.start_mark.column,
                    flow=False,
                )
                if not stack:
                    yield item
                else:
                    stack[-1].take(item)
            elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                item = stack.pop().closed(event)
                if not stack:
                    yield item
                else:
                    stack[-1].take(item)
    except (yaml.YAMLError, ValueError, UnicodeError) as error:
        said = " ".join(str(getattr(error, "problem", None) or error).split())[:160]
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise FormatError(f"not YAML{where}: {said}") from error


def plain(item: Item) -> Any:
    """Return the value without places."""
    if isinstance(item.value, list):
        return [plain(each) for each in item.value]
    if isinstance(item.value, dict):
        return {key: plain(each) for key, each in item.value.items()}
    return item.value


class _Open:
    """A list or map that has begun."""

    def __init__(self, event: Any) -> None:
        self._list = type(event).__name__ == "SequenceStartEvent"
        self._flow = bool(event.flow_style)
        self._start, self._column = event.start_mark.index, event.start_mark.column
        self._items: list[Item] = []

    def take(self, item: Item) -> None:
        self._items.append(item)

    def closed(self, event: Any) -> Item:
        value: Any = self._items
        if not self._list:
            pairs = zip(self._items[::2], self._items[1::2], strict=True)
            value = {_key(key): each for key, each in pairs}
        end = event.end_mark.index
        if not self._flow and self._items:
            end = self._items[-1].end
        return Item(value, self._start, end, self._column, flow=self._flow)


def _key(item: Item) -> str:
    return "" if item.value is None else str(item.value)


def _scalar(event: Any) -> Any:
    text = str(event.value)
    if event.style or (event.tag or "").endswith(":str"):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else text
    return text
