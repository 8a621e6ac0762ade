"""KServe's inference logger: CloudEvents, and the records it puts into blob stores.

One line is a request or an answer; both carry the same id. Read are structured CloudEvents
(`type`, `id`, `time`, `data`), binary ones as consumers dump them (`headers` with `ce-id`, and a
body), and the blob store's `LogRequest` in the spellings of its JSON, CSV and Parquet. The blob
store's records carry no time.

Source: kserve/kserve, pkg/logger (worker.go, types.go, marshaller_json.go, marshaller_record.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.logs.paths import Place

_REQUEST = "inference.request"
_RESPONSE = "inference.response"
_NONE = msgspec.Raw(b"")


class _Event(msgspec.Struct, rename="lower"):
    """A CloudEvent; names of attributes are lower case by its specification."""

    type: str = ""
    id: str = ""
    time: str = ""
    source: str = ""
    datacontenttype: str = ""
    inferenceservicename: str = ""
    endpoint: str = ""
    metadata: msgspec.Raw = _NONE
    data: msgspec.Raw = _NONE
    data_base64: str = ""
    headers: msgspec.Raw = _NONE


_event = msgspec.json.Decoder(_Event)
_object: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line; None for events that are about no inference.

    Raises:
        FormatError: Not one of the forms.
    """
    del name, fields
    try:
        event = _event.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.DecodeError as error:
        if not isinstance(error, msgspec.ValidationError):
            raise FormatError("not JSON") from error
        raise FormatError("a KServe record whose fields are of other types") from error
    if not event.type:
        parts = _object.decode(line)
        event = _binary(parts) if memoryview(event.headers) else _stored(parts)
    if not event.type.endswith((_REQUEST, _RESPONSE)):
        return None
    return _logged(event)


def _logged(event: _Event) -> Logged:
    held = body.from_base64(event.data_base64) if event.data_base64 else body.inner(event.data)
    at = clock.moment(event.time) if event.time else None
    kind = event.datacontenttype or body.JSON
    model = event.inferenceservicename
    version = event.endpoint or None
    if event.type.endswith(_RESPONSE):
        # Only answers with status 200 are logged.
        given = body.reply(held, status=200, content_type=_plain(kind))
        return Logged(reply=given, key=event.id, at=at, model=model, version=version)
    headers = (*_headers(event.metadata), ("ce-id", event.id))
    asked = body.call(held, model, content_type=kind, headers=headers)
    return Logged(call=asked, key=event.id, at=at, model=model, version=version)


def _plain(kind: str) -> str:
    # The logger writes the request's content type on the answer; a form upload has none of its own.
    return body.JSON if kind.startswith(("multipart/", "text/plain")) else kind


def _binary(parts: Mapping[str, msgspec.Raw]) -> _Event:
    """Return a CloudEvent whose attributes are headers, as a consumer dumped it."""
    said = {key.lower().replace("_", "-"): value for key, value in _headers(parts["headers"])}
    if "ce-type" not in said:
        raise FormatError("no CloudEvent: the headers have no ce-type")
    held = next((parts[one] for one in ("body", "data", "payload", "value") if one in parts), _NONE)
    coded = next((parts[one] for one in ("body_base64", "data_base64") if one in parts), None)
    return _Event(
        type=said["ce-type"],
        id=said.get("ce-id") or said.get("ce-requestid", ""),
        time=said.get("ce-time", ""),
        datacontenttype=said.get("content-type", ""),
        inferenceservicename=said.get("ce-inferenceservicename", ""),
        endpoint=said.get("ce-endpoint", ""),
        metadata=msgspec.Raw(msgspec.json.encode(said.get("ce-metadata", ""))),
        data=held,
        data_base64=_string(coded) if coded is not None else "",
    )


def _stored(parts: Mapping[str, msgspec.Raw]) -> _Event:
    """Return a record of the blob store, in whichever spelling."""
    folded = {key.lower().replace("_", ""): value for key, value in parts.items()}
    if "reqtype" not in folded:
        raise FormatError("not a KServe record: neither a CloudEvent nor a LogRequest")
    said = {
        key: _string(folded[key])
        for key in ("reqtype", "id", "contenttype", "inferenceservice", "endpoint", "bytes", "time")
        if key in folded
    }
    return _Event(
        type=said["reqtype"],
        id=said.get("id", ""),
        time=said.get("time", ""),
        datacontenttype=said.get("contenttype", ""),
        inferenceservicename=said.get("inferenceservice", ""),
        endpoint=said.get("endpoint", ""),
        metadata=folded.get("metadata", _NONE),
        data_base64=said.get("bytes", ""),
    )


def _headers(raw: msgspec.Raw) -> tuple[tuple[str, str], ...]:
    """Return headers: an object of strings or lists of them, or a string that holds one."""
    text: bytes | msgspec.Raw = raw
    if not memoryview(text):
        return ()
    try:
        if bytes(memoryview(text)[:1]) == b'"':
            text = msgspec.json.decode(text, type=str).encode("utf-8", "surrogatepass")
        found: Any = msgspec.json.decode(text or b"null", type=dict[str, str | list[str]] | None)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(
        (name.lower(), one)
        for name, value in (found or {}).items()
        for one in ([value] if isinstance(value, str) else value)
    )


def _string(raw: msgspec.Raw) -> str:
    try:
        return msgspec.json.decode(raw, type=str | None) or ""
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("a KServe record whose fields are of other types") from error
