"""Events and detections as CloudEvents 1.0 in structured JSON, for brokers and functions.

Source: https://github.com/cloudevents/spec, v1.0.2.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from casemate.records.detection import Detection

if TYPE_CHECKING:
    from casemate.records.event import Event

MEDIA_TYPE = "application/cloudevents+json"
_PREFIX = "io.casemate"


def line(record: Event | Detection, *, source: str = "urn:casemate:guard") -> bytes:
    """Return a record as one structured CloudEvent; the record itself is its `data`.

    `source` and `id` together are unique, as the specification asks, when each site has a source of
    its own.
    """
    if isinstance(record, Detection):
        ident, at, kind = record.id, record.made, f"{_PREFIX}.detection"
        where = source
    else:
        ident, at, kind = str(record.sequence), record.at, f"{_PREFIX}.{record.kind}"
        where = f"{source}:{quote(record.writer, safe='')}"
    body = {
        "specversion": "1.0",
        "id": ident,
        "source": where,
        "type": kind,
        "time": _time(at),
        "datacontenttype": "application/json",
        "dataschema": f"urn:casemate:{record.__struct_config__.tag}",
        # A subject may not be empty, so where no model is known there is none.
        **({"subject": quote(record.model, safe="")} if record.model else {}),
        "data": record,
    }
    return msgspec.json.encode(body)


def _time(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    when = datetime.fromtimestamp(seconds, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"
