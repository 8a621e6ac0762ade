"""From the bytes of a request and its answer to an exchange, by the protocol of the route.

Strict: where servers may read a body in two ways it is not read at all, and the guard says so.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from casemate.errors import FormatError, LimitExceeded
from casemate.guard import invocations, literals, shaping, templates
from casemate.guard.strict import refuse_doubles
from casemate.targets.wire import chat, mlflow, oip, oip_grpc, sagemaker, template, tfserving
from casemate.targets.wire.hollow import hollow
from casemate.targets.wire.tensor import Answer, Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casemate.guard.routes import Route
    from casemate.guard.shaping import Inputs, Outputs

_SINGLE = ("content-type", "content-length", "content-encoding", oip.HEAD)
_SHORT = 1024
_JSON = ("", "application/json", "text/json", "text/plain", "application/x-www-form-urlencoded")


class Question(NamedTuple):
    """A request, read."""

    protocol: str
    """What the event says: `oip`, `oip-binary`, `oip-grpc`, `tfserving`, `mlflow` ..."""
    model: str
    version: str | None
    inputs: Inputs
    streams: bool = False
    """Whether the caller wants the answer piece by piece."""


def content_type(headers: Mapping[str, str]) -> str:
    """Return the media type of a body in lower case, without parameters."""
    return _media_type(headers.get("content-type", ""))


@functools.lru_cache(maxsize=256)
def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def refuse_repeated(headers: Mapping[str, str], given: tuple[tuple[str, str], ...]) -> None:
    """Raise FormatError if a header that says how to read the body stands there twice."""
    if len(headers) == len(given):
        return
    for name in _SINGLE:
        if sum(one == name for one, _ in given) > 1:
            raise FormatError(f"the header {name} more than once")


def question(route: Route, headers: Mapping[str, str], body: bytes) -> Question:
    """Read a request; on open routes also with NaN and Infinity in its JSON.

    Args:
        route: Where it belongs.
        headers: By name in lower case.
        body: Plain, within its limit.

    Raises:
        FormatError: Not the protocol, or a body with two meanings.
        LimitExceeded: Too large or too deep.
    """
    try:
        return _question(route, headers, body)
    except LimitExceeded:
        raise
    except FormatError:
        plain = literals.without(body) if route.table.fail == "open" else None
        if plain is None or oip.HEAD in headers:
            raise
    return literals.restored(_question(route, headers, plain))


def _question(route: Route, headers: Mapping[str, str], body: bytes) -> Question:
    kind = content_type(headers)
    message = Message(body, kind, headers)
    model, version = route.model, route.version
    match route.protocol:
        case "oip" if kind == "application/grpc" or kind.startswith("application/grpc+"):
            return _grpc(route, body)
        case "oip-grpc":
            return _grpc(route, body)
        case "oip":
            binary = oip.HEAD in headers
            if not binary:
                _refuse_other(kind)
            inputs = shaping.inputs(_tensors(message), flat_is_one=True)
            return Question("oip-binary" if binary else "oip", model, version, inputs)
        case "tfserving":
            refuse_doubles(body)
            return Question(
                "tfserving", model, version, shaping.inputs(tfserving.decode_request(message))
            )
        case "mlflow" | "sagemaker" | "invocations":
            name, found_inputs = invocations.read(message, route.protocol)
            return Question(name, model, version, found_inputs)
        case "json":
            refuse_doubles(body)
            if route.place is None:
                raise FormatError("a route of templated JSON without a template")
            return Question("json", model, version, templates.read(route.place, body))
        case "chat":
            refuse_doubles(body)
            asked = chat.decode_request(message)
            inputs = shaping.Inputs(len(asked.texts), texts=asked.texts)
            return Question("chat", route.table.model or asked.model, version, inputs, asked.stream)
    raise FormatError(f"the protocol {route.protocol!r} is not read")


def answer(
    asked: Question, route: Route, headers: Mapping[str, str], body: bytes
) -> tuple[Answer, Outputs]:
    """Read the answer to a question: its parts as they travelled, and what they say of each row.

    Raises:
        FormatError: Not the protocol.
        LimitExceeded: Too large or too deep.
    """
    message = Message(body, content_type(headers), headers)
    rows = asked.inputs.rows
    match asked.protocol:
        case "oip" | "oip-binary":
            found = oip.decode_response(message)
        case "oip-grpc":
            found = oip_grpc.decode_response(unframed(body))
        case "tfserving":
            found = tfserving.decode_response(message)
        case "mlflow" if message.content_type != sagemaker.CSV:
            found = mlflow.decode_response(message)
        case "mlflow" | "sagemaker":
            # A CSV with a header reads like MLflow's; an answer in CSV is never MLflow's.
            found = sagemaker.decode_response(message, rows)
        case "json":
            found = template.decode_response(message, route.table.answer or "")
        case "chat":
            found = chat.decode_response(message)
        case other:
            raise FormatError(f"the protocol {other!r} is not read")
    return found, shaping.outputs(found, rows, route.table.output)


def unframed(body: bytes) -> bytes:
    """Return the one message of a gRPC body: a flag, four bytes of length, the message.

    Raises:
        FormatError: Several messages, a compressed one, or another length than it says.
    """
    if len(body) < 5 or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise FormatError("not one whole gRPC message")
    if body[0]:
        raise FormatError("a compressed gRPC message, which is not read")
    return body[5:]


def _grpc(route: Route, body: bytes) -> Question:
    plain = unframed(body)
    model, version = oip_grpc.decode_names(plain)
    found = shaping.inputs(oip_grpc.decode_request(plain), flat_is_one=True)
    return Question(
        "oip-grpc", route.table.model or model, route.table.version or version or None, found
    )


def _tensors(message: Message) -> Answer:
    head, tail = oip.split(message)
    if not len(tail):
        parted = hollow(head)
        if parted is not None:
            found = oip.hollow_tensors(_head(parted.body), parted.array)
            if found is not None:
                return found
    return oip.request_tensors(_head(head), tail)


def _head(text: bytes) -> Sequence[oip.Wired]:
    # What describes the tensors is the same in request after request; their numbers are not.
    return _short_head(text) if len(text) <= _SHORT else _any_head(text)


def _any_head(text: bytes) -> Sequence[oip.Wired]:
    refuse_doubles(text)
    return oip.request_head(text)


_short_head = functools.lru_cache(maxsize=512)(_any_head)


def _refuse_other(kind: str) -> None:
    # Servers read JSON whatever its type says, but not what says it is something else.
    if kind not in _JSON and not kind.endswith("+json"):
        raise FormatError(f"a body of the type {kind[:60]!r}")
