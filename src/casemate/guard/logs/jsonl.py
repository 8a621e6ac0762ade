"""Any log of JSON lines, or table, whose places the user maps: `--map input=$.features`.

Without a mapping only fields that are called what they are count: `request`, `response`, `time`,
`id`, `model`, `version`, `principal`, `session`, `status`. Who asked is never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.paths import Place, follow, text
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWN = ("request", "response", "id", "model", "version", "principal", "session", "status", "path")
_TIMES = ("time", "timestamp", "@timestamp", "ts")
_PLACES: Mapping[str, tuple[Place, ...]] = {
    **{name: (Place((name,)),) for name in _OWN},
    "time": tuple(Place((name,)) for name in _TIMES),
}
_any = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line by the places the user mapped.

    Raises:
        FormatError: No JSON object, or neither a request nor an input where they should be.
    """
    del name
    try:
        _any.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        raise FormatError("JSON that is no object") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("not JSON") from error

    def get(field: str) -> bytes | msgspec.Raw | None:
        places = (fields[field],) if field in fields else _PLACES.get(field, ())
        return next((raw for one in places if (raw := follow(line, one)) is not None), None)

    model = text(get("model")) or ""
    asked = _body(get("request"), get("input"), get("inputs"), "instances")
    if asked is None:
        raise FormatError(
            "neither a request nor an input: say where it is with --map request= or input="
        )
    given = _body(get("response"), get("output"), get("outputs"), "predictions")
    when, took, status = get("time"), text(get("took")), text(get("status"))
    return Logged(
        call=body.call(asked, model, path=text(get("path")) or ""),
        reply=None if given is None else body.reply(given, status=int(_number(status))),
        key=text(get("id")) or "",
        at=None if when is None else clock.from_json(when),
        took=int(_number(took) * 1000),
        model=model,
        version=text(get("version")),
        principal=text(get("principal")),
        session=text(get("session")),
    )


def _body(
    whole: bytes | msgspec.Raw | None,
    one: bytes | msgspec.Raw | None,
    many: bytes | msgspec.Raw | None,
    key: str,
) -> bytes | None:
    """Return a body as logged, or inputs in the form of TensorFlow Serving."""
    if whole is not None:
        return body.inner(whole)
    if many is not None:
        return b'{"' + key.encode() + b'":' + bytes(many) + b"}"
    if one is not None:
        return b'{"' + key.encode() + b'":[' + bytes(one) + b"]}"
    return None


def _number(value: str | None) -> float:
    try:
        found = float(value or 0)
    except ValueError as error:
        raise FormatError("a status or a duration that is no number") from error
    return found if 0 <= found < 1e12 else 0.0
