"""The log of a scoring service of one's own: who asked, when, one row, and its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.logs.paths import Place


class _Line(msgspec.Struct):
    when: str | int | float
    caller: str
    row: list[float]
    score: float


_line = msgspec.json.Decoder(_Line)


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line.

    Raises:
        FormatError: Not a line of this log.
    """
    del name, fields
    try:
        found = _line.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("not a line of the scoring service") from error
    asked = msgspec.json.encode({"instances": [found.row]})
    given = msgspec.json.encode({"predictions": [found.score]})
    return Logged(
        call=body.call(asked, "scores"),
        reply=body.reply(given, status=200),
        at=clock.moment(found.when),
        model="scores",
        principal=found.caller,
    )
