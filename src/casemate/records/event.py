"""Event: one inference on record, the minimum a responder needs to say who asked what and when."""

from __future__ import annotations

from typing import Literal

import msgspec

EventKind = Literal[
    "inference", "answered", "refused", "failed", "bypassed", "gap", "started", "stopped"
]
"""`answered`: the answer to an input that went on record without it, as it was slow; both have the
same `request` and `row`, and the measures of the answer are complete here. `refused`: the guard
answered itself. `failed`: the upstream did not answer. `bypassed`: served without being read or
looked at. `gap`: events that were lost, or a time nobody was looking."""
Decision = Literal[
    "pass", "coarsen", "delay", "refuse", "route", "review", "step-up", "cluster-answer", "decoy"
]


class Measures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the inline judges measured of one input and its answer; absent is None, never NaN."""

    marks: tuple[int, ...] = ()
    """Keyed fingerprint, unsigned 64 bits each: of the exact bytes, then of windows and projections
    of the input, 0 for none. Inputs with one in common, in whichever guard of the key, are probably
    near-duplicates; useless without the key."""
    near: float | None = None
    """How near the nearest earlier input is, by distance or by windows in common: 1 a repeat, 0.5
    just near enough to be linked, below that not linked; None without a look-up."""
    near_to: str | None = None
    """`<writer>:<sequence>` of the event of that nearest input; the provenance graph's edge."""
    near_same: bool | None = None
    """Whether the nearest input came from the same principal."""
    cluster: int | None = None
    """Unsigned 64-bit id of the near-duplicate cluster the input falls in."""
    size: int | None = None
    """Inputs seen in that cluster so far, this one included."""
    delta: float | None = None
    """L2 distance to the nearest input, in the input's own deviations (images) or its columns'
    (tables): 0 is a repeat of the same bytes, 1.4 about what unlike inputs have."""
    turn: float | None = None
    """Cosine between this step and the step before it inside the cluster, -1 to 1."""
    asked: int | None = None
    """Inputs of the principal in the window of the sketches, this one included."""
    fresh: int | None = None
    """Distinct clusters among them, estimated."""
    bits: float | None = None
    """Information served to the principal in the window, in bits: what the answers may leak."""
    broken: int = 0
    """Cells that break the learned input contract: out of range, wrong kind, NaN or infinite."""
    broken_by: str | None = None
    """The first of them in words, by column or place; no values."""
    norm: float | None = None
    """Mean absolute value of the input; a cheap one for drift."""
    label: int | None = None
    label_name: str | None = None
    confidence: float | None = None
    """Score of the top label as the model gave it."""
    margin: float | None = None
    """Top score minus the second, in the model's units."""
    flipped: bool | None = None
    """Whether the label differs from the nearest input's."""
    signs: tuple[str, ...] = ()
    """Catalog ids of the detections that the inline judges raise on this very input."""


class Event(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="event/1",
    forbid_unknown_fields=True,
):
    """One input and its answer: made by guard and import, read by detect, case and forensics.

    Its id, as other records name it, is `<writer>:<sequence>`.
    """

    writer: str
    """`w-` and 16 hex digits: one guard process or one import."""
    sequence: int
    """Counts up by one per writer from 0, so that a missing event shows."""
    at: int
    """Microseconds since the Unix epoch, UTC."""
    kind: EventKind = "inference"
    principal: str = ""
    session: str | None = None
    model: str = ""
    version: str | None = None
    route: str = ""
    protocol: str = ""
    request: str = ""
    """Links the rows of one request: the sequence of its first event, or the caller's trace id."""
    row: int = 0
    rows: int = 1
    status: int = 0
    """HTTP status the caller got; 0 where there was none."""
    took: int = 0
    """Microseconds from the whole request to the whole answer; 0 where not known."""
    bytes_in: int = 0
    bytes_out: int = 0
    input_digest: str | None = None
    """32 hex digits, the first half of SHA-256 of the row's bytes, keyed per subject."""
    output_digest: str | None = None
    served_digest: str | None = None
    """Digest of the answer the caller got, where it is not the model's own."""
    payload: str | None = None
    """Digest of the captured payload; None as capture is off by default."""
    measures: Measures = Measures()
    decision: Decision = "pass"
    enforced: bool = False
    """Whether the decision was carried out; False in observe mode."""
    order: str | None = None
    """Id of the Order, or name of the rule, that the decision rests on."""
    purpose: str | None = None
    """Declared client class, if any."""
    marked: str | None = None
    """Id of the red-team run that sent it: leave it out of feedback training."""
    components: tuple[str, ...] = ()
    """Names of the components involved, as casemate.toml has them."""
    trained: int | None = None
    """Time of the model's last training event, in microseconds since the epoch."""
    newest_row: int | None = None
    """Time of its newest training row, likewise."""
    lost: int = 0
    """`gap` and `bypassed`: how many requests it stands for, or inputs of one large request that
    were not looked at one by one. A gap that stands in the place of
    events which had their sequences already has as many `rows`, and the next event comes after."""
    until: int | None = None
    """`gap`: its end; `at` is its beginning."""
    note: str | None = None
    """In words, for kinds other than `inference`."""
    source: str | None = None
    """Where an imported event stands: `file.jsonl:1024`."""
