"""Events as the flat records a SIEM indexes, under the field names our Sigma rules speak of.

Log source: `category: ml_inference`, `product: casemate`, `service: guard`. Flags are `yes` and
`no`, because several backends cannot compare booleans.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from casemate.records.event import Event

FIELDS = (
    "timestamp",
    "event.id",
    "event.action",
    "event.lost",
    "http.response.status_code",
    "ml.principal.id",
    "ml.session.id",
    "ml.model.name",
    "ml.model.version",
    "ml.route",
    "ml.query.near_duplicate",
    "ml.query.near_duplicate_score",
    "ml.query.repeat",
    "ml.query.cluster",
    "ml.query.contract_broken",
    "ml.query.signs",
    "ml.output.label",
    "ml.output.margin",
    "ml.output.flipped",
    "ml.guard.decision",
    "ml.guard.enforced",
    "ml.client.purpose",
    "ml.redteam.run",
)
"""Every field, in order; `timestamp` is ISO 8601 in UTC."""
NEAR = 0.5
"""Share of fingerprint marks in common from which an input counts as a near-duplicate."""

Flat = dict[str, str | int | float | None]


def flat(event: Event) -> Flat:
    """Return one event as a flat record; absent measures are None."""
    seen = event.measures
    label = seen.label_name if seen.label_name is not None else seen.label
    values: tuple[str | int | float | None, ...] = (
        datetime.fromtimestamp(event.at / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        f"{event.writer}:{event.sequence}",
        event.kind,
        event.lost,
        event.status,
        event.principal,
        event.session,
        event.model,
        event.version,
        event.route,
        None if seen.near is None else _flag(seen.near >= NEAR),
        seen.near,
        None if seen.delta is None else _flag(seen.delta == 0),
        # 64 bits unsigned do not fit everywhere as numbers.
        None if seen.cluster is None else f"{seen.cluster:016x}",
        _flag(seen.broken > 0),
        " ".join(seen.signs),
        None if label is None else str(label),
        seen.margin,
        None if seen.flipped is None else _flag(seen.flipped),
        event.decision,
        _flag(event.enforced),
        event.purpose,
        event.marked,
    )
    return dict(zip(FIELDS, values, strict=True))


def _flag(value: bool) -> str:
    return "yes" if value else "no"
