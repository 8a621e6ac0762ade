"""Pack the pieces of a case: as they are, withheld, or redacted beside the withheld original."""

from __future__ import annotations

import difflib
import fnmatch
import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from casemate.case.bundle.forms import UnreadableError
from casemate.case.bundle.redaction import Redactor, read_fields
from casemate.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.case.bundle.piece import Piece
    from casemate.case.bundle.writing import Writer

OPAQUE = "it cannot be told what is in it, so it is not shown"
_BESIDE = "what it stands beside is not shown as it was"
_REDACTED = "it is shown without what is personal"


class Packing:
    """What becomes of each piece of a bundle."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        *,
        redact: Sequence[str] = (),
        withhold: Sequence[str] = (),
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """Find out what must not be shown.

        Args:
            pieces: What is to be packed.
            redact: Fields, as `read_fields` takes them.
            withhold: Names of pieces, `*` for anything, with or without `items/` before them.
            progress: Called with (what, done, total).

        Raises:
            UsageError: A name matches nothing, or a field is what proves the rest.
            StoreError: A piece cannot be read.
        """
        self.pieces = tuple(pieces)
        self.withheld = _matching(self.pieces, withhold)
        self.redactor: Redactor | None = None
        self._touched: set[str] = set()
        asked, texts = read_fields(redact)
        if asked or texts:
            self.redactor = Redactor(asked, texts)
            with tempfile.TemporaryDirectory(prefix="casemate-") as folder:
                try:
                    self._look(self.redactor, Path(folder) / "copy", progress)
                except OSError as error:
                    raise StoreError(f"a piece cannot be redacted: {error}") from error

    def text(self, text: str) -> str:
        """Return text without what is personal."""
        return text if self.redactor is None else self.redactor.text(text)

    def pack(self, writer: Writer, by: str) -> None:
        """Write every piece, and for those that are redacted the copy after the original.

        Args:
            writer: Of the bundle.
            by: Who withholds what was asked for by name.

        Raises:
            StoreError: Something cannot be read or written.
        """
        with tempfile.TemporaryDirectory(prefix="casemate-") as folder:
            for piece in self.pieces:
                self._one(writer, piece, by, Path(folder) / "copy")

    def _one(self, writer: Writer, piece: Piece, by: str, copy: Path) -> None:
        redactor = self.redactor
        if piece.name in self.withheld:
            writer.withhold(piece, f"withheld by {by}")
        elif piece.beside in self.withheld or piece.beside in self._touched:
            writer.withhold(piece, _BESIDE)
        elif redactor is None:
            writer.add(piece)
        elif piece.is_absent:
            why = redactor.text(piece.why or "")
            writer.add(msgspec.structs.replace(piece, name=redactor.text(piece.name), why=why))
        elif redactor.form(piece) == "opaque":
            writer.withhold(piece, OPAQUE)
        elif piece.name in self._touched:
            number = writer.withhold(piece, _REDACTED)
            try:
                redactor.redact(piece, copy)
            except (OSError, UnreadableError) as error:
                raise StoreError(f"{piece.name} cannot be redacted: {error}") from error
            shown = msgspec.structs.replace(
                piece, name=redactor.text(piece.name), data=None, file=copy, digest=None,
                why=None if piece.why is None else redactor.text(piece.why),
            )  # fmt: skip
            writer.instead(number, writer.size)
            writer.add(shown, instead_of=number)
        else:
            writer.add(piece)

    def _look(
        self,
        redactor: Redactor,
        copy: Path,
        progress: Callable[[str, int, int], None] | None,
    ) -> None:
        """Learn every value, then find what shows one, or a digest that could tell of one."""
        there = [one for one in self.pieces if not one.is_absent]
        for number, piece in enumerate(there):
            if progress is not None:
                progress("redact: what is personal", number, 2 * len(there))
            redactor.learn(piece)
        for piece in there:
            if piece.name in self.withheld or redactor.form(piece) == "opaque":
                redactor.hide(_digest(piece))
        left = [
            one
            for one in there
            if one.name not in self.withheld
            and one.beside is None
            and redactor.form(one) != "opaque"
        ]
        while True:
            found = []
            for number, piece in enumerate(left):
                if progress is not None:
                    progress("redact: what shows it", len(there) + number, 2 * len(there))
                renamed = redactor.text(piece.name) != piece.name
                try:
                    if redactor.redact(piece, copy) or renamed:
                        found.append(piece)
                except UnreadableError:
                    found.append(piece)  # it is opaque from now on
            if not found:
                return
            self._touched |= {one.name for one in found}
            for piece in found:
                redactor.hide(_digest(piece))
            left = [one for one in left if one.name not in self._touched]


def _matching(pieces: Sequence[Piece], wanted: Sequence[str]) -> frozenset[str]:
    names = [one.name for one in pieces if not one.is_absent]
    found: set[str] = set()
    for pattern in wanted:
        both = (pattern, f"items/{pattern}")
        matching = {one for one in names if any(fnmatch.fnmatchcase(one, way) for way in both)}
        if not matching:
            near = difflib.get_close_matches(pattern, names, 1, 0.4)
            raise UsageError(
                f"nothing in the bundle is called '{pattern}'",
                hint=f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names[:5])}",
            )
        found |= matching
    return frozenset(found)


def _digest(piece: Piece) -> str:
    if piece.data is not None:
        return hashlib.sha256(piece.data).hexdigest()
    with open(str(piece.file), "rb") as file:  # noqa: PTH123 - a path may be any
        return hashlib.file_digest(file, "sha256").hexdigest()
