"""SageMaker Data Capture: JSON lines with the question and the answer of one invocation.

`captureData.endpointInput` and `endpointOutput` hold `data` in the `encoding` CSV, JSON or BASE64,
`eventMetadata` the id and the time. The line names no model: the folders of the capture do, as
`endpoint/variant/yyyy/mm/dd/hh/file.jsonl`. Who asked is nowhere, unless the caller put it into
`customAttributes`.

Source: docs.aws.amazon.com/sagemaker, Data capture; Model Monitor's capture files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from casemate.errors import FormatError
from casemate.guard.logs import body, clock
from casemate.guard.logs.record import Logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casemate.guard.logs.paths import Place

_FOLDERS = re.compile(r"([^/]+)/([^/]+)/\d{4}/\d{2}/\d{2}/\d{2}/[^/]*\Z")


class _Half(msgspec.Struct):
    data: str | None = None
    encoding: str = "BASE64"
    observed: str | None = msgspec.field(name="observedContentType", default=None)


class _Captured(msgspec.Struct, rename="camel"):
    endpoint_input: _Half | None = None
    endpoint_output: _Half | None = None
    batch_transform_input: _Half | None = None
    batch_transform_output: _Half | None = None


class _About(msgspec.Struct, rename="camel"):
    event_id: str = ""
    inference_id: str = ""
    inference_time: str = ""


class _Line(msgspec.Struct, rename="camel"):
    capture_data: _Captured
    event_metadata: _About = msgspec.field(default_factory=_About)


_line = msgspec.json.Decoder(_Line)


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one line; `name` is the file's path, whose folders name the endpoint.

    Raises:
        FormatError: Not a captured invocation.
    """
    del fields
    try:
        found = _line.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        raise FormatError("not a captured invocation: no captureData as it should be") from error
    except msgspec.DecodeError as error:
        raise FormatError("not JSON") from error
    asked = found.capture_data.endpoint_input or found.capture_data.batch_transform_input
    given = found.capture_data.endpoint_output or found.capture_data.batch_transform_output
    about = found.event_metadata
    if asked is None and given is None:
        return None
    folders = _FOLDERS.search(name)
    model = folders[1] if folders else ""
    return Logged(
        call=None
        if asked is None
        else body.call(
            _held(asked), model, path=body.invocations(model), content_type=_kind(asked, "text/csv")
        ),
        reply=None if given is None else body.reply(_held(given), content_type=_kind(given, "")),
        key=about.event_id or about.inference_id,
        at=clock.moment(about.inference_time) if about.inference_time else None,
        model=model,
        version=folders[2] if folders else None,
    )


def _held(half: _Half) -> bytes:
    if half.data is None:
        return b""
    if half.encoding.upper() == "BASE64":
        return body.from_base64(half.data)
    return half.data.encode("utf-8", "surrogatepass")


def _kind(half: _Half, default: str) -> str:
    if half.observed:
        return half.observed
    return {"CSV": "text/csv", "JSON": body.JSON}.get(half.encoding.upper(), default)
