"""JSON that has one meaning: members named twice are refused.

Servers differ in which of two equal members counts, so a guard that reads one of them may look at
another input than the model.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from casemate.errors import FormatError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

_FEW = 64
_MANY = 256
_COLON = re.compile(rb"\s*:")


def refuse_doubles(body: bytes) -> None:
    """Raise FormatError if an object of a JSON body names a member twice.

    Costs little where a body is mostly numbers. What is not JSON is left to the decoder.

    Raises:
        FormatError: A member named twice.
        LimitExceeded: Nested too deeply.
    """
    if b"\\" not in body:
        names = _names(body)
        if names is not None and len(set(names)) == len(names):
            return
        parts = body.split(b'"', 2 * _FEW)
        if len(parts) <= 2 * _FEW:
            _few(parts)
            return
    try:
        json.loads(body, object_pairs_hook=_pairs, parse_float=_nothing, parse_int=_nothing)
    except RecursionError as error:
        raise LimitExceeded("JSON nested too deeply") from error
    except ValueError:
        return


def _names(body: bytes) -> list[bytes] | None:
    # Every name of a body without escapes, None when it holds many strings. Each find is a memchr,
    # which a pattern or a count of quotes is not.
    names: list[bytes] = []
    at = body.find(b'"')
    for _ in range(_MANY):
        end = body.find(b'"', at + 1)
        if at < 0 or end < 0:
            return names
        if _COLON.match(body, end + 1):
            names.append(body[at + 1 : end])
        at = body.find(b'"', end + 1)
    return None


def _few(parts: list[bytes]) -> None:
    # Between quotes the odd parts are text and the even ones structure; no quote is escaped.
    open_: list[set[bytes]] = []
    for index, part in enumerate(parts):
        if index % 2 == 0:
            for opens in _braces(part):
                if opens:
                    open_.append(set())
                elif open_:
                    open_.pop()
        elif open_ and index + 1 < len(parts) and _COLON.match(parts[index + 1]):
            if part in open_[-1]:
                raise FormatError(f"the member {part[:40].decode('utf-8', 'replace')!r} twice")
            open_[-1].add(part)


def _braces(part: bytes) -> Iterator[bool]:
    # Two memchr are far faster than a look at every byte of a long list of numbers.
    opening, closing = part.find(b"{"), part.find(b"}")
    while opening >= 0 or closing >= 0:
        if closing < 0 or 0 <= opening < closing:
            yield True
            opening = part.find(b"{", opening + 1)
        else:
            yield False
            closing = part.find(b"}", closing + 1)


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise FormatError(f"the member {name[:40]!r} twice")
            seen.add(name)


def _nothing(_text: str) -> None:
    return None
