"""Answers that are not served as they came: other numbers in the same places, nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from casemate.errors import FormatError
from casemate.guard.bodies import packed
from casemate.guard.call import Reply
from casemate.guard.protocols import content_type, unframed
from casemate.targets.wire import numbers, oip, oip_grpc, protobuf, rows, template
from casemate.targets.wire.tensor import Message, Tensor, to_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from casemate.guard.protocols import Question
    from casemate.guard.routes import Route

    Change = Callable[[str, npt.NDArray[Any]], npt.NDArray[Any]]

_STALE = {
    "content-md5",
    "digest",
    "etag",
    "transfer-encoding",
}
_LAYOUT = re.compile(
    rb'\s*(?:[\[{](?:\r?\n(?P<lines> *))?\s*)+(?:"[^"\\]*"\s*:|[^\s,\]}]+,)(?P<blank> ?)'
)
_KEYS = ("predictions", "outputs", "probabilities", "scores")


def rewrite(
    asked: Question,
    route: Route,
    reply: Reply,
    headers: Mapping[str, str],
    body: bytes,
    change: Change,
) -> Reply:
    """Return a reply with every output changed whose first axis counts the inputs.

    The very same reply when no value is another one then; else one that looks like it: order of
    headers, packing, and how JSON is set out.

    Args:
        asked: The question it answers.
        route: Where it belongs.
        reply: As the model gave it.
        headers: Its headers by name.
        body: Its body, unpacked.
        change: From an output's name and values to what is served; texts come as objects.

    Raises:
        FormatError: The answer cannot be changed in this protocol and form.
    """
    count = asked.inputs.rows
    message = Message(body, content_type(headers), headers)
    told = False

    def watched(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        nonlocal told
        served = change(name, values)
        told = told or not _same(values, served)
        return served

    match asked.protocol:
        case "oip" | "oip-binary" if oip.HEAD in headers:
            made = _oip_binary(message, count, watched)
        case "oip" | "oip-binary":
            made = _laid_out(_oip(body, count, watched), body)
        case "oip-grpc":
            made = _grpc(body, count, watched)
        case "tfserving" | "mlflow" | "sagemaker" if message.content_type == "text/csv":
            made = _csv(body, count, watched)
        case "tfserving" | "mlflow" | "sagemaker":
            made = _laid_out(_members(body, count, watched), body)
        case "json":
            way = template.steps(route.table.answer or "")
            made = _at(body, way, lambda raw: _predictions(raw, count, watched))
            made = _laid_out(made, body)
        case "chat":
            made, told = _chat(body)
            made = _laid_out(made, body)
        case other:
            raise FormatError(f"an answer of the protocol {other!r} cannot be changed")
    if not told:
        return reply
    made = packed(made, headers.get("content-encoding", ""))
    length = ("content-length", str(len(made)))
    kept = [length if one[0] == length[0] else one for one in reply.headers if one[0] not in _STALE]
    if length not in kept:
        kept.append(length)
    return Reply(reply.status, tuple(kept), made)


def _same(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def _laid_out(made: bytes, body: bytes) -> bytes:
    """Return JSON set out like other JSON: line breaks, blanks after signs, the end."""
    found = _LAYOUT.match(body)
    if found is not None:
        before, after = found["lines"], found["blank"]
        if before is not None or after:
            made = msgspec.json.format(made, indent=len(before) if before is not None else 0)
    return made + body[len(body.rstrip()) :]


def _changed(name: str, array: npt.NDArray[Any], count: int, change: Change) -> Any:
    if array.ndim == 1 and count == 1 and array.size > 1:
        return change(name, array.reshape(1, -1)).reshape(-1)
    if array.ndim and len(array) == count and array.size:
        return change(name, array)
    return array


def _oip(body: bytes, count: int, change: Change) -> bytes:
    answer = oip.decode_response(Message(body, oip.JSON))
    top = numbers.parse(body, dict[str, msgspec.Raw])
    arrays = {one.name: one.array for one in answer.tensors}
    texts = {one.name: np.array(one.values, object) for one in answer.texts}
    made: list[dict[str, Any]] = []
    for wired in numbers.parse(top["outputs"], list[dict[str, msgspec.Raw]]):
        name = numbers.parse(wired["name"], str)
        if name in arrays:
            array = arrays[name]
        else:
            shape = numbers.parse(wired["shape"], list[int])
            array = texts[name].reshape(shape)
        served = _changed(name, array, count, change)
        out: dict[str, Any] = dict(wired)
        if served is not array:
            if numbers.depth(wired["data"]) <= 1:
                served = served.reshape(-1)
            out["data"] = numbers.lists(served)
        made.append(out)
    return numbers.dump({**top, "outputs": made})


def _oip_binary(message: Message, count: int, change: Change) -> bytes:
    answer = oip.decode_response(message)
    head = int(message.headers[oip.HEAD])
    if answer.texts or head == len(message.body):
        raise FormatError("a binary answer with texts cannot be changed")
    found = numbers.parse(message.body[:head], _Head)
    parts: list[bytes] = [message.body[:head]]
    for one, wired in zip(answer.tensors, found.outputs, strict=True):
        if wired.parameters.get("binary_data_size") is None:
            raise FormatError("an answer partly in JSON and partly binary cannot be changed")
        parts.append(to_raw(Tensor(one.name, _changed(*one[:2], count, change), one.datatype)))
    made = b"".join(parts)
    if len(made) != len(message.body):
        raise FormatError("a binary answer that would change its length")
    return made


def _grpc(body: bytes, count: int, change: Change) -> bytes:
    plain = unframed(body)
    answer = oip_grpc.decode_response(plain)
    if answer.texts:
        raise FormatError("a gRPC answer with texts cannot be changed")
    raw = iter(answer.tensors)
    parts: list[bytes] = []
    blobs = 0
    for number, kind, value, data in protobuf.fields(plain):
        if number == 6 and kind == protobuf.BYTES:
            one = next(raw)
            blobs += 1
            served = _changed(one.name, one.array, count, change)
            parts.append(protobuf.field(6, to_raw(Tensor(one.name, served, one.datatype))))
        elif kind == protobuf.BYTES:
            parts.append(protobuf.field(number, bytes(data)))
        elif kind == protobuf.VARINT:
            parts.append(protobuf.field(number, value))
        else:
            raise FormatError("a gRPC answer with fields that are not known")
    if blobs != len(answer.tensors):
        raise FormatError("a gRPC answer without raw contents cannot be changed")
    made = b"".join(parts)
    return b"\0" + len(made).to_bytes(4, "big") + made


def _csv(body: bytes, count: int, change: Change) -> bytes:
    found = rows.decode(body)
    if found.texts:
        texts = np.array(found.texts[0].values, object)
        return "\n".join(map(str, _changed("predictions", texts, count, change))).encode() + b"\n"
    array = found.tensors[0].array
    if not array.size:
        return body
    served = _changed("predictions", array, count, change)
    return rows.encode(served.reshape(len(array), -1))


def _members(body: bytes, count: int, change: Change) -> bytes:
    if numbers.opening(body) != b"{" or numbers.depth(body):
        return _predictions(body, count, change)
    top: dict[str, Any] = dict(numbers.parse(body, dict[str, msgspec.Raw]))
    found = [key for key in _KEYS if key in top]
    if not found:
        return _predictions(body, count, change)
    for key in found:
        top[key] = msgspec.Raw(_predictions(top[key], count, change))
    return numbers.dump(top)


def _predictions(raw: bytes | msgspec.Raw, count: int, change: Change) -> bytes:
    found = numbers.parse(raw, Any)
    if isinstance(found, dict):
        made: Any = {name: _values(name, one, count, change) for name, one in found.items()}
    elif isinstance(found, list) and len(found) and all(isinstance(one, dict) for one in found):
        if any(row.keys() != found[0].keys() for row in found):
            raise FormatError("rows that differ in their keys")
        columns = {
            name: _values(name, [row[name] for row in found], count, change) for name in found[0]
        }
        made = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        made = _values("predictions", found, count, change)
    return numbers.dump(made)


def _values(name: str, values: Any, count: int, change: Change) -> Any:
    if not isinstance(values, list):
        if isinstance(values, float) and count == 1:
            return _changed(name, np.array([values]), 1, change).tolist()[0]
        return values
    try:
        array = np.array(values)
    except ValueError as error:
        raise FormatError("rows of unequal length") from error
    if array.dtype.kind == "U":
        array = np.array(values, object)
    elif array.dtype.kind not in "biuf":
        raise FormatError("an answer that holds more than numbers and texts")
    return _changed(name, array, count, change).tolist()


def _at(
    raw: bytes | msgspec.Raw,
    way: tuple[str | int, ...],
    change: Callable[[bytes | msgspec.Raw], bytes],
) -> bytes:
    if not way:
        return change(raw)
    step, rest = way[0], way[1:]
    if step == "*":
        raise FormatError("an answer spread over its rows cannot be changed")
    if isinstance(step, int):
        listed = numbers.parse(raw, list[msgspec.Raw])
        listed[step] = msgspec.Raw(_at(listed[step], rest, change))
        return numbers.dump(listed)
    members = numbers.parse(raw, dict[str, msgspec.Raw])
    members[step] = msgspec.Raw(_at(members[step], rest, change))
    return numbers.dump(members)


def _chat(body: bytes) -> tuple[bytes, bool]:
    # What chat tells besides its text is how likely each word was.
    top: dict[str, Any] = dict(numbers.parse(body, dict[str, msgspec.Raw]))
    told = False
    if "choices" in top:
        choices = numbers.parse(top["choices"], list[dict[str, msgspec.Raw]])
        top["choices"] = [
            {key: value for key, value in one.items() if key != "logprobs"} for one in choices
        ]
        told = any("logprobs" in one for one in choices)
    return numbers.dump(top), told


class _Output(msgspec.Struct):
    parameters: dict[str, Any] = {}


class _Head(msgspec.Struct):
    outputs: list[_Output]
