"""Envoy: its access log as JSON, and the traces of its tap filter.

The access log has no bodies, and its keys are the operator's own; read are those of Envoy's and
Istio's documentation. A trace (`http_buffered_trace`) has headers and bodies, as base64 or text.

Source: envoyproxy.io, Access logging and data.tap.v3; istio.io, Envoy access logs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.logs.paths import Place

_MODEL = re.compile(r"/models/([^/:?]+)(?:/versions/([^/:?]+))?")
_STREAMED = "a streamed trace of Envoy's tap; only buffered ones are read"


class _Header(msgspec.Struct):
    key: str = ""
    value: str = ""
    raw_value: str = ""


class _Body(msgspec.Struct):
    as_bytes: str | None = None
    as_string: str | None = None
    truncated: bool = False


class _Message(msgspec.Struct):
    headers: list[_Header] = []
    body: _Body | None = None
    headers_received_time: str = ""


class _Trace(msgspec.Struct):
    request: _Message = msgspec.field(default_factory=_Message)
    response: _Message | None = None


class _Line(msgspec.Struct):
    http_buffered_trace: _Trace | None = None
    http_streamed_trace_segment: msgspec.Raw = msgspec.Raw(b"")
    start_time: str | int | float | None = None


_line = msgspec.json.Decoder(_Line)
_flat: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line of an access log, or one trace; None for what is no POST.

    Raises:
        FormatError: Neither.
    """
    del name, fields
    try:
        found = _line.decode(line)
        if found.http_buffered_trace is not None:
            return _traced(found.http_buffered_trace)
        flat = _flat.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        raise FormatError("neither an access log line of Envoy nor a trace") from error
    except msgspec.DecodeError as error:
        raise FormatError("not JSON") from error
    if body.there(found.http_streamed_trace_segment):
        raise FormatError(_STREAMED)
    return _accessed(flat)


def _accessed(flat: Mapping[str, Any]) -> Logged | None:
    said = {key.lower().replace("-", "_"): value for key, value in flat.items()}
    path = _word(said, "path", "x_envoy_original_path", "request_path", "uri")
    status = _word(said, "response_code", "status", "status_code")
    if not path or not status:
        raise FormatError("neither an access log line of Envoy nor a trace")
    if _word(said, "method", "request_method") not in ("POST", ""):
        return None
    model = _MODEL.search(path)
    when = said.get("start_time", said.get("timestamp", said.get("time")))
    peer = _word(said, "downstream_remote_address", "client_ip").rpartition(":")[0].strip("[]")
    headers = [
        (key.replace("_", "-"), str(value))
        for key, value in said.items()
        if key in ("x_forwarded_for", "user_agent", "x_request_id") and isinstance(value, str)
    ]
    return Logged(
        call=body.call(
            b"", "", path=path, content_type="", headers=headers, peer=peer if peer != "-" else ""
        ),
        reply=body.reply(b"", status=int(_amount(status)), content_type=""),
        key=_word(said, "request_id", "x_request_id"),
        at=clock.moment(when) if isinstance(when, str | int | float) else None,
        took=int(_amount(_word(said, "duration")) * 1000),
        model=model[1] if model else "",
        version=model[2] if model else None,
        sizes=(
            int(_amount(_word(said, "bytes_received"))),
            int(_amount(_word(said, "bytes_sent"))),
        ),
    )


def _traced(trace: _Trace) -> Logged | None:
    said = _headers(trace.request)
    headers = dict(said)
    if headers.get(":method", "POST") != "POST":
        return None
    path = headers.get(":path", "")
    model = _MODEL.search(path)
    asked, cut = _body(trace.request)
    given, cut_too = _body(trace.response) if trace.response else (b"", False)
    answered = dict(_headers(trace.response)) if trace.response else {}
    when = trace.request.headers_received_time or answered.get("date", "")
    return Logged(
        call=body.call(
            asked,
            "",
            path=path,
            content_type="",
            headers=[one for one in said if not one[0].startswith(":")],
        ),
        reply=None
        if trace.response is None
        else body.reply(
            given,
            status=int(_amount(answered.get(":status", "0"))),
            content_type=answered.get("content-type", ""),
        ),
        key=headers.get("x-request-id", ""),
        at=clock.moment(when) if when else None,
        model=model[1] if model else "",
        version=model[2] if model else None,
        cut="a body the tap cut off" if cut or cut_too else "",
    )


def _headers(message: _Message) -> list[tuple[str, str]]:
    return [
        (one.key.lower(), one.value or body.from_base64(one.raw_value).decode("latin-1"))
        for one in message.headers
    ]


def _body(message: _Message) -> tuple[bytes, bool]:
    held = message.body
    if held is None:
        return b"", False
    if held.as_string is not None:
        return held.as_string.encode("utf-8", "surrogatepass"), held.truncated
    return body.from_base64(held.as_bytes or ""), held.truncated


def _word(said: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = said.get(name)
        if isinstance(value, str) and value not in ("", "-"):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return ""


def _amount(text: str) -> float:
    try:
        found = float(text or "0")
    except ValueError as error:
        raise FormatError("an access log line whose numbers are none") from error
    return found if 0 <= found < 1e12 else 0.0
