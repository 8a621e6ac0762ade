"""MLflow's scoring protocol: `POST /invocations`.

Bytes to arrays and back, both ways round. Tables travel as `dataframe_split`, as
`dataframe_records` or as CSV with a header; tensors as `inputs` or `instances`.

Source: mlflow.org, Deploy MLflow model locally, inference server specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from casemate.errors import FormatError
from casemate.targets.wire import numbers, predictions, rows
from casemate.targets.wire.tensor import Answer, Message, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

Form = Literal["split", "records", "inputs", "instances", "csv"]
JSON = "application/json"
CSV = "text/csv"


class _Split(msgspec.Struct):
    data: msgspec.Raw
    columns: list[str | int] = []


class _Request(msgspec.Struct):
    dataframe_split: _Split | None = None
    dataframe_records: msgspec.Raw = msgspec.Raw(b"")
    inputs: msgspec.Raw = msgspec.Raw(b"")
    instances: msgspec.Raw = msgspec.Raw(b"")


class _Response(msgspec.Struct):
    predictions: msgspec.Raw


def encode_request(
    x: npt.NDArray[Any], *, form: Form = "split", columns: Sequence[str] = ()
) -> Message:
    """Write a question about inputs (n, ...).

    Args:
        x: The inputs; (n, d) for the forms that are tables.
        form: How they travel.
        columns: Names of the columns; positions where there are none.

    Raises:
        FormatError: x does not fit the form.
    """
    if form in ("split", "records", "csv") and x.ndim != 2:
        raise FormatError(f"a table cannot hold inputs of shape {list(x.shape[1:])}")
    if form == "csv":
        return Message(rows.encode(x, columns or [str(i) for i in range(x.shape[1])]), CSV)
    data = numbers.lists(x)
    body: Any = {form: data}
    if form == "split":
        body = {"dataframe_split": {"columns": list(columns), "data": data}}
        if not columns:
            del body["dataframe_split"]["columns"]
    elif form == "records":
        names = columns or [str(i) for i in range(x.shape[1])]
        body = {"dataframe_records": [dict(zip(names, row, strict=True)) for row in data]}
    return Message(numbers.dump(body), JSON)


def decode_request(message: Message) -> Answer:
    """Read the inputs of a question: one tensor `inputs`, or one per column for records.

    Raises:
        FormatError: Not the protocol.
        LimitExceeded: Too many columns, or nested too deeply.
    """
    if message.content_type == CSV:
        _, _, body = message.body.partition(b"\n")
        return rows.decode(body, "inputs")
    found = numbers.parse(message.body, _Request)
    if found.dataframe_split is not None:
        return predictions.decode(found.dataframe_split.data, "inputs")
    for raw in (found.dataframe_records, found.inputs, found.instances):
        if memoryview(raw):
            return predictions.decode(raw, "inputs")
    raise FormatError("none of dataframe_split, dataframe_records, inputs and instances")


def encode_response(tensors: Sequence[Tensor]) -> Message:
    """Write an answer."""
    return Message(numbers.dump({"predictions": predictions.encode(tensors)}), JSON)


def decode_response(message: Message) -> Answer:
    """Read the predictions of an answer; MLflow before 2.0 wrote them without a key.

    Raises:
        FormatError: Not the protocol.
        LimitExceeded: Too many keys, or nested too deeply.
    """
    if numbers.opening(message.body) == b"{" and numbers.depth(message.body) == 0:
        return predictions.decode(numbers.parse(message.body, _Response).predictions)
    return predictions.decode(message.body)


def form_for(shape: Sequence[int]) -> Form:
    """Return the form that suits inputs of a shape: a table for rows, tensors for the rest."""
    return "split" if len(shape) == 1 else "inputs"
