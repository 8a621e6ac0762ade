"""Trial: one attack on one target, with success, distance and cost as casemate measured them."""

from __future__ import annotations

from typing import Literal

import msgspec

from casemate.records.target import Target

Param = float | int | str | bool | None


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure with its uncertainty."""

    name: str
    """`accuracy`, `recall-at-fpr`, `fidelity`, `accuracy-drop` ..."""
    value: float | None
    """None when it could not be measured; never NaN or Inf."""
    low: float | None = None
    """Lower end of the two-sided interval at `level`."""
    high: float | None = None
    n: int = 0
    """Inputs the figure rests on."""
    level: float = 0.95


class Cost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the attack spent. Evaluations count inputs (rows), not calls."""

    forward: int = 0
    backward: int = 0
    queries: int = 0
    """Inputs a black-box attacker would have had to send; equals `forward` for such attacks."""
    wall_s: float = 0.0
    cpu_s: float = 0.0


class Outcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one input."""

    index: int
    """Row in the data set attacked, 0-based."""
    label: int
    clean: bool
    """Whether the target was right before the attack."""
    success: bool | None
    """Whether the attack fooled the target; None when it could not be told (target failed)."""
    distance: float | None = None
    """In the trial's norm, in input units; None without success."""
    adversarial_label: int | None = None
    margin: float | None = None
    """Score of the true class minus the best other one at the adversarial input, where known."""
    queries: int = 0
    forward: int = 0
    backward: int = 0


class Series(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A curve worth plotting, such as fidelity against queries."""

    name: str
    x_name: str
    y_name: str
    points: tuple[tuple[float, float], ...]


class Seen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the defending side shows of an attack on a live endpoint: made by redteam."""

    sent: int
    """Inputs the attack sent."""
    logged: int | None
    """Of them, on record; None when there was no telemetry to look in."""
    detected_by: tuple[str, ...] = ()
    """Catalog ids of the detections that named it, the first one first."""
    pages: bool = False
    """Whether one of them would have woken somebody up."""
    first_query: int | None = None
    """How many inputs of the attack had been seen when it was first detected, by whatever rule."""
    paging_query: int | None = None
    """The same for the first detection that would have woken somebody up."""
    first_seconds: float | None = None
    """Seconds from its first query to the detection."""
    success: float | None = None
    """Share of the inputs the model had right that the attack fooled, or fidelity of the copy."""
    success_after: float | None = None
    """The same against the endpoint that enforces its policy; None where that was not tried."""
    answered_by: tuple[str, ...] = ()
    """What the guard did about it there: `coarsen`, `block` ..."""
    benign: int = 0
    """Requests of simulated users that were sent beside it."""
    benign_harmed: int | None = None
    """Of those sent to the enforcing endpoint: refused, failed, or answered another label."""
    benign_accused: int = 0
    """Simulated users that a detection named."""


class Trial(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="schema",
    tag="trial/1",
    forbid_unknown_fields=True,
):
    """One attack on one target: made by attack, read by gate, report and vuln."""

    id: str
    """`trial-` and 26 characters."""
    attack: str
    """Catalog id."""
    family: Literal["evasion", "extraction", "poisoning"]
    target: Target
    data: Target
    params: dict[str, Param]
    seed: int
    budget: int | None
    """Allowed evaluations (forward + backward) per input; None for the attack's own schedule."""
    norm: Literal["linf", "l2", "l1", "l0"] | None
    eps: float | None
    """Radius in input units; None for minimum-norm attacks."""
    inputs: int
    clean: Measure
    robust: Measure | None
    """The same measure under attack; None for families without one."""
    cost: Cost
    outcomes: tuple[Outcome, ...] = ()
    measures: tuple[Measure, ...] = ()
    """Figures of the family's own, such as fidelity."""
    series: tuple[Series, ...] = ()
    adversarial: str | None = None
    """Digest of a blob: .npz with `index`, `x` (originals), `adv` for the successful inputs."""
    seen: Seen | None = None
    """What a guard saw of it, where it was carried out against a guarded endpoint."""
    state: Literal["complete", "interrupted", "budget-spent", "failed"] = "complete"
    notes: tuple[str, ...] = ()
    """What a reader must know to trust the figures: zero gradients, random answers, drops."""
