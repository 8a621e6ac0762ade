"""A reader for the Python literals file headers are written in; nothing is compiled or evaluated.

Strings, integers, True, False, None, tuples, lists and dicts. Depth and length are bounded, which
`ast.literal_eval` does not offer.
"""

from __future__ import annotations

import re

from casemate.errors import FormatError

DEPTH = 32
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?\d{1,19}L?(?![\w.]))"
    r"|[ub]?(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<word>True|False|None)\b|(?P<mark>[()\[\]{},:]))"
)
_WORDS = {"True": True, "False": False, "None": None}
_CLOSES = {"(": ")", "[": "]", "{": "}"}


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def token(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:
            raise FormatError(f"not a literal at character {self.at}")
        self.at = match.end()
        return match.lastgroup, match[match.lastgroup]

    def peek(self) -> str:
        match = _TOKEN.match(self.text, self.at)
        return (match["mark"] or "") if match else ""

    def value(self, depth: int = 0) -> object:
        if depth > DEPTH:
            raise FormatError("the literal is nested too deeply")
        kind, token = self.token()
        if kind == "number":
            return int(token.rstrip("L"))
        if kind == "text":
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if kind == "word":
            return _WORDS[token]
        if token not in _CLOSES:
            raise FormatError(f"unexpected '{token}'")
        return self.items(token, depth)

    def items(self, opening: str, depth: int) -> object:
        closing = _CLOSES[opening]
        found: list[object] = []
        keys: list[str] = []
        comma = False
        while self.peek() != closing:
            if found and not comma:
                raise FormatError("a comma is missing")
            item = self.value(depth + 1)
            if opening == "{":
                if not isinstance(item, str) or self.token() != ("mark", ":"):
                    raise FormatError("a key is not text")
                keys.append(item)
                item = self.value(depth + 1)
            found.append(item)
            comma = self.peek() == ","
            if comma:
                self.token()
        self.token()
        if opening == "{":
            return dict(zip(keys, found, strict=True))
        if opening == "[":
            return found
        return found[0] if len(found) == 1 and not comma else tuple(found)


def parse_literal(text: str) -> object:
    """Return the value of a Python literal.

    Raises:
        FormatError: It is anything else, or nested too deeply.
    """
    reader = _Reader(text.rstrip())
    value = reader.value()
    if reader.at != len(reader.text):
        raise FormatError("something follows the literal")
    return value
