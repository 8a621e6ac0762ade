"""Inference tables of Databricks model serving: MLflow requests and answers, a row each.

Read are the table of the endpoint (`timestamp_ms`, `execution_time_ms`, `request_metadata`) and the
gateway's (`request_time`, `execution_duration_ms`, `requester`, `served_entity_id`), as JSON lines,
Parquet or CSV. A row may say that it stands for a sample of the traffic, or that a body was too
large to be logged.

Source: docs.databricks.com, Inference tables; AI Gateway-enabled inference tables.
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

_Number = int | float | str | None


class _Row(msgspec.Struct):
    databricks_request_id: str | None = None
    client_request_id: str | None = None
    request_time: str | int | None = None
    timestamp_ms: str | int | None = None
    status_code: _Number = None
    sampling_fraction: _Number = None
    execution_duration_ms: _Number = None
    execution_time_ms: _Number = None
    request: msgspec.Raw = msgspec.Raw(b"")
    response: msgspec.Raw = msgspec.Raw(b"")
    request_metadata: Any = None
    served_entity_id: str | None = None
    requester: str | None = None
    logging_error_codes: Any = None


_row = msgspec.json.Decoder(_Row)


def read(line: bytes, *, name: str = "", fields: Mapping[str, Place]) -> Logged | None:
    """Read one row.

    Raises:
        FormatError: Not a row of an inference table.
    """
    del name, fields
    try:
        row = _row.decode(line)
    except RecursionError as error:
        raise FormatError("JSON nested too deeply") from error
    except msgspec.ValidationError as error:
        raise FormatError("not a row of an inference table: fields of other types") from error
    except msgspec.DecodeError as error:
        raise FormatError("not JSON") from error
    cut = row.logging_error_codes not in (None, [], "[]", "")
    if not (body.there(row.request) or body.there(row.response) or cut):
        raise FormatError("not a row of an inference table: neither request nor response")
    about = _about(row.request_metadata)
    model = about.get("model_name") or about.get("endpoint_name") or row.served_entity_id or ""
    when = row.request_time if row.request_time is not None else row.timestamp_ms
    took = row.execution_duration_ms if row.execution_time_ms is None else row.execution_time_ms
    asked, given = body.inner(row.request), body.inner(row.response)
    chat = body.path_of(asked, model) == body.CHAT
    return Logged(
        # What MLflow serves is asked at /invocations, whatever form the body has but chat.
        call=body.call(asked, model, path=body.CHAT if chat else body.invocations(model)),
        reply=body.reply(given, status=int(_number(row.status_code))),
        key=row.databricks_request_id or row.client_request_id or "",
        at=None if when is None else clock.moment(when),
        took=max(0, int(_number(took) * 1000)),
        model=model,
        version=about.get("model_version"),
        principal=row.requester,
        cut="a body too large to log" if cut else "",
        share=_number(row.sampling_fraction, 1.0),
    )


def _about(metadata: Any) -> dict[str, str]:
    if isinstance(metadata, str):
        try:
            metadata = msgspec.json.decode(metadata)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            return {}
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}


def _number(value: _Number, default: float = 0.0) -> float:
    try:
        found = default if value is None else float(value)
    except ValueError as error:
        raise FormatError("not a row of an inference table: fields of other types") from error
    return found if 0 <= found < 1e15 else default
