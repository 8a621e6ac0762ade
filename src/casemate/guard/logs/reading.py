"""Records of a log of a known format: what each says, with everything amiss counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.errors import FormatError
from casemate.guard.logs import clock, paths
from casemate.guard.logs.lines import NOT_UTF8, STOPS, repaired

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from casemate.guard.logs.paths import Place
    from casemate.guard.logs.record import Logged, Row
    from casemate.guard.logs.tally import Tally

    class Reader(Protocol):
        """What an entry of `logs/` names: one record as JSON in, what it says out."""

        def __call__(
            self, line: bytes, *, name: str = "", fields: Mapping[str, Place]
        ) -> Logged | None:
            """Return None for what is no inference; raise FormatError for what is no record."""


NOT_ONE = "a record that is about no inference"


class Lines:
    """Reads single records of one log; keeps no state but the counts.

    Args:
        read: The format's reader.
        fields: The user's mapping, which outweighs what the reader found.
        tally: Where what cannot be read is counted.
    """

    def __init__(self, read: Reader, fields: Mapping[str, Place], tally: Tally) -> None:
        self._read = read
        self._fields = fields
        self._tally = tally
        self._mapped = [
            one for one in ("principal", "session", "model", "version", "time", "id", "took")
            if one in fields
        ]  # fmt: skip

    def read(self, row: Row, name: str) -> Logged | None:
        """Return what a record says; None when it cannot be read, which is counted.

        Args:
            row: The record.
            name: The file's name.
        """
        place = f"{name}:{row.number}"
        body = row.body
        if not body.isascii():
            fixed = repaired(body)
            if fixed is not None:
                self._tally.add(NOT_UTF8, place, lost=False)
                body = fixed
        try:
            found = self._logged(body, name)
        except (FormatError, UnicodeDecodeError) as error:
            self._lost(error, place, row)
            return None
        if found is None:
            self._tally.add(NOT_ONE, place, lost=False)
        elif found.cut:
            self._tally.add(found.cut, place, lost=True)
        return found

    def _logged(self, body: bytes, name: str) -> Logged | None:
        found = self._read(body, name=name, fields=self._fields)
        if found is None or not self._mapped:
            return found
        said = {one: paths.follow(body, self._fields[one]) for one in self._mapped}

        def text(one: str) -> str | None:
            return paths.text(said.get(one))

        when, took = said.get("time"), text("took")
        return found._replace(
            principal=text("principal") or found.principal,
            session=text("session") or found.session,
            model=text("model") or found.model,
            version=text("version") or found.version,
            key=text("id") or found.key,
            at=clock.from_json(when) if when is not None else found.at,
            took=_milliseconds(took) if took is not None else found.took,
        )

    def _lost(self, error: Exception, place: str, row: Row) -> None:
        cut = row.open and str(error) == "not JSON" and row.body.lstrip()[:1] in (b"{", b"[")
        reason = STOPS if cut else str(error) if isinstance(error, FormatError) else "not UTF-8"
        self._tally.add(reason, place, lost=True)


def _milliseconds(text: str) -> int:
    try:
        found = float(text) * 1000
    except ValueError as error:
        raise FormatError("a duration that is no number") from error
    return int(found) if 0 <= found < 1e15 else 0
