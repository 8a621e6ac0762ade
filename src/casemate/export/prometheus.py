"""Counters of events and detections in Prometheus' text format: rates and latencies, and never who.

A principal is no label: it would tell everybody who scrapes, and a caller could make up as many
series as it likes. Model names can be made up as well, so that there are only so many series.
Source: https://prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casemate.records.detection import Detection
    from casemate.records.event import Event

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends in seconds."""
_MODELS = 64
_SIGNS = 256
_OTHER = "(other)"
_LONGEST = 80


class Counters:
    """What was counted since the start; fed from one thread, read from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: set[str] = set()
        self._events: Counter[tuple[str, str, str, str]] = Counter()
        self._signs: Counter[tuple[str, str]] = Counter()
        self._lost: Counter[str] = Counter()
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._took: dict[str, list[int]] = {}
        self._sum: Counter[str] = Counter()

    def count(self, events: Iterable[Event]) -> None:
        """Add events."""
        with self._lock:
            for one in events:
                self._count(one)

    def text(self, detections: Iterable[Detection] = ()) -> bytes:
        """Return the counters as Prometheus reads them, and all detections there are."""
        with self._lock:
            found = Counter(
                (
                    one.rule[:_LONGEST],
                    one.conclusion,
                    str(one.severity),
                    self._bounded(one.model),
                    "no" if one.marked is None else "yes",
                )
                for one in detections
            )
            lines = [
                *family("casemate_events_total", "Events by kind, decision and model."),
                *(
                    sample(
                        "casemate_events_total",
                        n,
                        kind=kind,
                        decision=decision,
                        model=model,
                        enforced=enforced,
                    )
                    for (kind, decision, model, enforced), n in sorted(self._events.items())
                ),
                *family("casemate_signs_total", "Inputs on which an inline judge raised a sign."),
                *(
                    sample("casemate_signs_total", n, sign=sign, model=model)
                    for (sign, model), n in sorted(self._signs.items())
                ),
                *family("casemate_detections_total", "Detections by rule, severity and model."),
                *(
                    sample(
                        "casemate_detections_total",
                        n,
                        rule=rule,
                        conclusion=conclusion,
                        severity=severity,
                        model=model,
                        redteam=marked,
                    )
                    for (rule, conclusion, severity, model, marked), n in sorted(found.items())
                ),
                *family("casemate_lost_total", "Requests that gaps and bypasses stand for."),
                *(
                    sample("casemate_lost_total", n, kind=kind)
                    for kind, n in sorted(self._lost.items())
                ),
                *family("casemate_bytes_total", "Bytes of requests and answers."),
                *(
                    sample("casemate_bytes_total", n, direction=way, model=model)
                    for (way, model), n in sorted(self._bytes.items())
                ),
                *family(
                    "casemate_took_seconds",
                    "From the whole request to the whole answer.",
                    "histogram",
                ),
                *(one for model in sorted(self._took) for one in self._histogram(model)),
            ]
        return ("\n".join(lines) + "\n").encode("utf-8")

    def _count(self, one: Event) -> None:
        model = self._bounded(one.model)
        self._events[one.kind, one.decision, model, "yes" if one.enforced else "no"] += 1
        for sign in one.measures.signs:
            known = (sign[:_LONGEST], model) in self._signs or len(self._signs) < _SIGNS
            self._signs[(sign[:_LONGEST], model) if known else (_OTHER, _OTHER)] += 1
        if one.lost:
            self._lost[one.kind] += one.lost
        self._bytes["in", model] += max(one.bytes_in, 0)
        self._bytes["out", model] += max(one.bytes_out, 0)
        if one.took > 0 and one.row == 0:
            took = self._took.setdefault(model, [0] * (len(BUCKETS) + 1))
            took[bisect_left(BUCKETS, one.took / 1e6)] += 1
            self._sum[model] += one.took

    def _bounded(self, model: str) -> str:
        name = model[:_LONGEST]
        if name in self._models or len(self._models) < _MODELS:
            self._models.add(name)
            return name
        return _OTHER

    def _histogram(self, model: str) -> list[str]:
        name, total = "casemate_took_seconds", 0
        lines = []
        for end, n in zip(
            (*(f"{one:g}" for one in BUCKETS), "+Inf"), self._took[model], strict=True
        ):
            total += n
            lines.append(sample(f"{name}_bucket", total, model=model, le=end))
        lines.append(sample(f"{name}_sum", self._sum[model] / 1e6, model=model))
        lines.append(sample(f"{name}_count", total, model=model))
        return lines


def family(name: str, help_: str, kind: str = "counter") -> list[str]:
    """Return the two lines that begin a metric."""
    return [f"# HELP {name} {help_}", f"# TYPE {name} {kind}"]


def sample(name: str, value: float, **labels: str) -> str:
    """Return the line of one figure, by its labels."""
    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inner}}} {value!r}" if inner else f"{name} {value!r}"


def _escaped(text: str) -> str:
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return (
        safe.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\\\r")
    )
