"""Records to JSON bytes and back, by the tag the bytes carry.

The store keeps bytes as they were written; reading picks the type by tag, so a later version of a
record is a new tag beside the old one and old bytes stay readable.
"""

from __future__ import annotations

import msgspec

from casemate.errors import StoreError
from casemate.records.column import Column
from casemate.records.detection import Detection
from casemate.records.edge import Edge, Node
from casemate.records.event import Event
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.incident import Action, Incident
from casemate.records.location import Location
from casemate.records.order import Order
from casemate.records.run import Run
from casemate.records.statement import Statement
from casemate.records.system import System
from casemate.records.target import Target
from casemate.records.threat import Threat
from casemate.records.trial import Trial
from casemate.records.verdict import Verdict
from casemate.records.vulnerability import Vulnerability

Record = (
    Action
    | Column
    | Detection
    | Edge
    | Event
    | Evidence
    | Finding
    | Incident
    | Location
    | Node
    | Order
    | Run
    | Statement
    | System
    | Target
    | Threat
    | Trial
    | Verdict
    | Vulnerability
)
"""Every record that can be stored; an Exchange never is."""
RECORDS: tuple[type[msgspec.Struct], ...] = (
    Action,
    Column,
    Detection,
    Edge,
    Event,
    Evidence,
    Finding,
    Incident,
    Location,
    Node,
    Order,
    Run,
    Statement,
    System,
    Target,
    Threat,
    Trial,
    Verdict,
    Vulnerability,
)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: msgspec.Struct) -> bytes:
    """Return the record as JSON with sorted keys."""
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Read one record by its own tag.

    Raises:
        StoreError: Not JSON, an unknown tag, or fields that do not fit it.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(f"not a record: {error}") from error
