"""Bodies out of logs: what a field holds as bytes, and what bytes without a path speak."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from casemate.errors import FormatError
from casemate.guard.call import Call, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON = "application/json"
CHAT = "/v1/chat/completions"


class _Request(msgspec.Struct):
    instances: msgspec.Raw = msgspec.Raw(b"")
    inputs: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")
    dataframe_split: msgspec.Raw = msgspec.Raw(b"")
    dataframe_records: msgspec.Raw = msgspec.Raw(b"")


class _Tensor(msgspec.Struct):
    datatype: str


_request = msgspec.json.Decoder(_Request)
_tensors = msgspec.json.Decoder(list[_Tensor])


def there(raw: msgspec.Raw) -> bool:
    """Return whether a field is there and not null."""
    view = memoryview(raw)
    return bool(view) and bytes(view[:5]).strip() != b"null"


def inner(raw: bytes | msgspec.Raw) -> bytes:
    """Return the body a field holds: JSON as it stands, or what a JSON string says.

    Raises:
        FormatError: A string that is not one.
    """
    body = bytes(raw)
    if not body.lstrip().startswith(b'"'):
        return b"" if body == b"null" else body
    try:
        return msgspec.json.decode(body, type=str).encode("utf-8", "surrogatepass")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("a body that is not a string of JSON") from error


def from_base64(text: str) -> bytes:
    """Return what base64 says.

    Raises:
        FormatError: It is not base64.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("a body that is not base64") from error


def path_of(body: bytes, model: str) -> str:
    """Return the path a request body was sent to, by what is in it; `/` where nothing says.

    The logs of model servers leave the path out: the forms tell protocols apart.
    """
    if body.lstrip()[:1] != b"{":
        return invocations(model) if body else "/"
    try:
        found = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "/"
    if memoryview(found.messages):
        return CHAT
    if memoryview(found.dataframe_split) or memoryview(found.dataframe_records):
        return invocations(model)
    if memoryview(found.inputs) and not memoryview(found.instances):
        try:
            _tensors.decode(found.inputs)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return f"/v1/models/{_named(model)}:predict"
        return infer(model)
    return f"/v1/models/{_named(model)}:predict" if memoryview(found.instances) else "/"


def invocations(model: str) -> str:
    """Return the path of MLflow's and SageMaker's protocols, for a model."""
    return f"/endpoints/{_named(model)}/invocations"


def infer(model: str) -> str:
    """Return the path of the Open Inference Protocol, for a model."""
    return f"/v2/models/{_named(model)}/infer"


def _named(model: str) -> str:
    # A path ends names at slashes and colons, also at encoded ones; the event gets the true name.
    return quote(model.replace("/", "_").replace(":", "_"), safe="") or "model"


def call(
    body: bytes,
    model: str,
    *,
    at: int = 0,
    path: str = "",
    content_type: str = JSON,
    headers: Sequence[tuple[str, str]] = (),
    method: str = "POST",
    peer: str = "",
) -> Call:
    """Return a request as a shell would have received it; the path is worked out where unknown."""
    said = tuple((name.lower(), value) for name, value in headers)
    if content_type and all(name != "content-type" for name, _ in said):
        said = (*said, ("content-type", content_type))
    place, _, query = (path or path_of(body, model)).partition("?")
    return Call(method, place, query, said, body, peer, at)


def reply(body: bytes, *, status: int = 0, content_type: str = JSON) -> Reply:
    """Return an answer; `status` is 0 where the log does not say."""
    return Reply(status, (("content-type", content_type),) if content_type else (), body)
