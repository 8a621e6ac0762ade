"""Open Inference Protocol requests and answers as servers and sidecars dump them.

A line holds a pair (`request` and `response`), or one body of the protocol, which its own `id`
joins to the other. Time, principal and model are read beside a pair; a bare body has none but the
model's name, so map what the log adds.

Source: kserve.github.io, Open Inference Protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.logs.paths import Place


_NONE = msgspec.Raw(b"")


class _Line(msgspec.Struct):
    id: str | None = None
    inputs: msgspec.Raw = _NONE
    outputs: msgspec.Raw = _NONE
    model_name: str | None = None
    model_version: str | int | None = None
    request: msgspec.Raw = _NONE
    response: msgspec.Raw = _NONE
    timestamp: str | int | float | None = None
    time: str | int | float | None = None


class _Body(msgspec.Struct):
    id: str | None = None
    model_name: str | None = None
    model_version: str | None = None


_line = msgspec.json.Decoder(_Line)
_body = msgspec.json.Decoder(_Body)


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line.

    Raises:
        FormatError: Neither a pair nor a body of the protocol.
    """
    del name, fields
    try:
        found = _line.decode(line)
        return _pair(found) if body.there(found.request) else _bare(found, line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        raise FormatError("fields of other types than the protocol's") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("not JSON") from error


def _pair(found: _Line) -> Logged:
    asked, given = body.inner(found.request), body.inner(found.response)
    answered = _body.decode(given) if given else _Body()
    model = found.model_name or answered.model_name or ""
    version = found.model_version if found.model_version is not None else answered.model_version
    when = found.timestamp if found.timestamp is not None else found.time
    return Logged(
        call=body.call(asked, model, path=body.infer(model)),
        reply=body.reply(given) if given else None,
        key=found.id or _body.decode(asked).id or "",
        at=None if when is None else clock.moment(when),
        model=model,
        version=None if version is None else str(version),
    )


def _bare(found: _Line, line: bytes) -> Logged:
    if not (body.there(found.inputs) or body.there(found.outputs)):
        raise FormatError("neither a pair nor a body of the Open Inference Protocol")
    when = found.timestamp if found.timestamp is not None else found.time
    at = None if when is None else clock.moment(when)
    model = found.model_name or ""
    version = None if found.model_version is None else str(found.model_version)
    if body.there(found.inputs):
        asked = body.call(line, model, path=body.infer(model))
        return Logged(call=asked, key=found.id or "", at=at, model=model, version=version)
    return Logged(reply=body.reply(line), key=found.id or "", at=at, model=model, version=version)
