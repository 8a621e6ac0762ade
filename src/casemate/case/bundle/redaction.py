"""Redaction: values of named fields become pseudonyms wherever they occur.

First the values are learned from every piece, then each piece is rewritten. The original stays
sealed in the tree, withheld; its copy says which item it stands for. The same value has the same
pseudonym throughout one bundle, and only its maker can tell which.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import html
import json
import os
import re
import secrets
import unicodedata
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from casemate.case.bundle.forms import Form, UnreadableError, form_of, rewrite
from casemate.case.bundle.phrases import Phrases
from casemate.errors import UsageError
from casemate.records.codec import RECORDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from casemate.case.bundle.piece import Piece

STRUCTURE = frozenset(
    {"at", "case", "digest", "id", "kind", "number", "previous", "schema", "sequence", "writer"}
)
"""Fields of records by which they are told apart and put in order: they prove, and stay."""
_RECORD_KEYS = frozenset(name for record in RECORDS for name in record.__struct_encode_fields__) | {
    "schema"
}
PEOPLE = frozenset(
    {"approver", "author", "by", "opened_by", "owner", "principal", "purpose", "reporter",
     "request", "session"}
)  # fmt: skip
"""Fields of records that tell of people; `name` and others mean something else in ours."""
_OURS = frozenset({"custody", "event", "events", "log", "record"})
"""Kinds of pieces that are records of this program's."""
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LONGEST = 300


class Asked(NamedTuple):
    """One thing to redact: a field, within the items whose names match."""

    items: str
    field: str


def read_fields(fields: Sequence[str]) -> tuple[list[Asked], list[str]]:
    """Return fields and plain texts that are to be redacted.

    Args:
        fields: `principal`; `items/people.csv:id` for a field in some items alone; `=Alice Meyer`
            for a text wherever it stands.

    Raises:
        UsageError: One of them is what proves the rest.
    """
    asked = []
    texts = []
    for one in fields:
        if one.startswith("="):
            texts.append(one[1:])
            continue
        items, _, field = one.rpartition(":")
        name = field.strip().casefold()
        if not name:
            raise UsageError(f"'{one}' names no field", hint="principal, or items/a.csv:name")
        if name in STRUCTURE and not items:
            raise UsageError(
                f"the field '{name}' is part of what proves the bundle",
                hint=f"redact it in your own files alone: 'items/*:{name}', or withhold an item",
            )
        asked.append(Asked(items or "*", name))
    return asked, texts


class Redactor:
    """Learns what is personal, then takes it out."""

    def __init__(self, asked: Sequence[Asked], texts: Sequence[str] = ()) -> None:
        """Begin with what was asked for."""
        self._asked = tuple(asked)
        self._key = secrets.token_bytes(32)
        self._forms: dict[str, Form] = {}
        self._phrases = Phrases()
        self.pseudonyms: dict[str, str] = {}
        """Value by pseudonym; for nobody but the maker."""
        self._hidden: set[str] = set()
        for text in texts:
            self._learn("text", text)

    def learn(self, piece: Piece) -> None:
        """Find the values of the fields in a piece.

        Raises:
            OSError: It cannot be read.
        """
        if piece.is_absent or self.form(piece) == "opaque":
            return
        visitor = _Learner(self, piece)
        try:
            with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - not a file
                rewrite(piece, self.form(piece), visitor, nothing)
        except UnreadableError:
            self._forms[piece.name] = "opaque"

    def form(self, piece: Piece) -> Form:
        """Return the form of a piece; `opaque` when it cannot be told what is in it."""
        if piece.name not in self._forms:
            self._forms[piece.name] = form_of(piece)
        return self._forms[piece.name]

    def hide(self, digest: str) -> None:
        """Never show a SHA-256 of something that is withheld: it could be guessed at."""
        self._hidden.add(digest.removeprefix("sha256:"))

    def redact(self, piece: Piece, out: Path) -> bool:
        """Write a piece without what is personal; return whether that changed anything.

        Raises:
            UnreadableError: It cannot be told what is in it; its form is `opaque` then.
            OSError: It cannot be read or written.
        """
        visitor = _Replacer(self, piece)
        try:
            with out.open("wb") as file:
                rewrite(piece, self.form(piece), visitor, file)
        except UnreadableError:
            self._forms[piece.name] = "opaque"
            raise
        return visitor.changed

    def text(self, text: str) -> str:
        """Return text without what is personal."""
        shown = self._phrases.replace(text)
        if self._hidden:
            shown = _DIGEST.sub(lambda m: "withheld" if m[0] in self._hidden else m[0], shown)
        return shown

    def meant(self, piece: Piece, field: str) -> bool:
        """Return whether values under a field of a piece are to be replaced."""
        name = field.strip().casefold()
        is_structure = piece.kind in _OURS and name in _RECORD_KEYS
        return any(
            name in (one.field, f"{one.field}s")
            and fnmatch.fnmatchcase(piece.name, one.items)
            and (not is_structure or one.field in PEOPLE or one.items != "*")
            for one in self._asked
        )

    def pseudonym(self, field: str, value: str) -> str:
        """Return what a value is called instead."""
        known = self._phrases.known(value)
        if known is not None:
            return known
        mark = hmac.new(self._key, value.lower().encode(), hashlib.sha256).hexdigest()[:10]
        label = re.sub(r"[^a-z0-9]+", "-", field.casefold()).strip("-") or "value"
        return f"{label}-{mark}"

    def _learn(self, field: str, value: str) -> None:
        value = value.strip()
        if not value or value in self.pseudonyms:
            return
        name = self.pseudonym(field, value)
        self.pseudonyms[name] = value
        self._phrases.add(value, name)
        if len(value) <= _LONGEST:
            for written in _ways(value) - {value}:
                self._phrases.add(written, name)


class _Learner:
    changed = False

    def __init__(self, redactor: Redactor, piece: Piece) -> None:
        self._redactor = redactor
        self._piece = piece

    def names(self, field: str) -> bool:
        return self._redactor.meant(self._piece, field)

    def value(self, field: str, value: Any) -> Any:
        self._redactor._learn(field, str(value))  # noqa: SLF001 - its other half
        return value

    def text(self, text: str) -> str:
        return text

    def keeps(self, field: str) -> bool:  # noqa: ARG002 - whatever it is
        return True

    def key(self, key: str) -> str:
        return key


class _Replacer:
    def __init__(self, redactor: Redactor, piece: Piece) -> None:
        self.changed = False
        self._redactor = redactor
        self._piece = piece
        self._is_ours = piece.kind in _OURS

    def names(self, field: str) -> bool:
        return self._redactor.meant(self._piece, field)

    def value(self, field: str, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            return value
        self.changed = True
        return self._redactor.pseudonym(field, str(value).strip())

    def text(self, text: str) -> str:
        shown = self._redactor.text(text)
        self.changed = self.changed or shown != text
        return shown

    def keeps(self, field: str) -> bool:
        return self._is_ours and field in STRUCTURE - {"digest", "previous"}

    def key(self, key: str) -> str:
        return key if self._is_ours and key in _RECORD_KEYS else self.text(key)


def _ways(value: str) -> set[str]:
    """Return the ways a value may be written inside of other text."""
    found = {value, *(unicodedata.normalize(form, value) for form in ("NFC", "NFD"))}
    for one in tuple(found):
        found |= {json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1]}
        found |= {html.escape(one), quote(one), quote(one, safe="")}
    return found
