"""A model behind a network: batches, limits, and how its answers are read.

Between the capabilities and the wire: http.py and grpc.py give it a way to ask, and it settles on
a few inputs which of the outputs are scores or labels, then holds every answer to that.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from casemate.errors import TargetError, UsageError
from casemate.records.make import make
from casemate.records.target import Target
from casemate.targets import answers
from casemate.targets.picking import Pick, labels_of, pick, take
from casemate.targets.wire.tensor import MAX_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from casemate.targets.capabilities import Array, Capability, Ints
    from casemate.targets.settings import Settings
    from casemate.targets.wire.tensor import Answer, Spec

    Ask = Callable[[Array], Answer | None]
    """Inputs (n, ...) to the decoded answer; None: too large a question, ask with fewer."""

_PROBE = 4
_LARGEST = 1 << 20
"""Numbers in one question; about 20 MB of JSON."""
_SAME = 1e-6
"""Servers that batch or thread answer equal questions this closely."""


@dataclass(kw_only=True, eq=False)
class Endpoint:
    """Implements `Labels` over a way to ask; `ScoredEndpoint` also gives scores."""

    target: Target
    ask: Ask
    found: Pick
    shape: tuple[int, ...]
    classes: int
    lower: float | Array
    upper: float | Array
    batch: int
    connections: int
    release: Callable[[], None]
    threshold: float | None = None
    deterministic: bool | None = None
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    gives: frozenset[Capability] = frozenset({"labels"})
    _closed: bool = field(default=False, repr=False)
    _pool: ThreadPoolExecutor | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...).

        Raises:
            TargetError: The endpoint failed, or answered something else than labels.
        """
        parts = self._each(x, lambda answer, n: labels_of(answer, self.found, n, self.class_names))
        whole = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        if whole.size and (whole.min() < 0 or whole.max() >= self.classes):
            bad = whole[(whole < 0) | (whole >= self.classes)][0]
            raise TargetError(
                f"the endpoint answered label {bad}, there are {self.classes} classes",
                hint="state classes, or give data with the same labels",
            )
        return whole

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._closed = True
        self.release()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _each(
        self, x: Array, read: Callable[[Answer, int], npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        if self._closed:
            raise TargetError("the endpoint was closed")
        check_inputs(x, self.shape)
        chunks = [x[i : i + self.batch] for i in range(0, len(x), self.batch)]
        if len(chunks) < 2 or self.connections < 2:
            return [part for chunk in chunks for part in self._chunk(chunk, read)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.connections, thread_name_prefix="casemate-ask")
        futures = [self._pool.submit(self._chunk, chunk, read) for chunk in chunks]
        try:
            return [part for future in futures for part in future.result()]
        finally:
            for future in futures:
                future.cancel()

    def _chunk(
        self, x: Array, read: Callable[[Answer, int], npt.NDArray[Any]]
    ) -> list[npt.NDArray[Any]]:
        answer = self.ask(x)
        if answer is not None:
            return [read(answer, len(x))]
        if len(x) == 1:
            raise TargetError("the endpoint finds even a single input too large")
        half = len(x) // 2
        with self._lock:
            self.batch = min(self.batch, half)
        return [*self._chunk(x[:half], read), *self._chunk(x[half:], read)]


@dataclass(kw_only=True, eq=False)
class ScoredEndpoint(Endpoint):
    """Implements `Scores` and `Labels`."""

    reading: answers.Reading
    kind: Literal["logits", "probabilities"] = "logits"

    def scores(self, x: Array) -> Array:
        """Return the scores (n, classes) of inputs (n, ...).

        Raises:
            TargetError: The endpoint failed, or answered something else than it did at first.
        """
        parts = self._each(x, lambda answer, n: self.reading.scores(take(answer, self.found, n), n))
        return np.concatenate(parts) if parts else np.zeros((0, self.classes))

    def labels(self, x: Array) -> Ints:
        """Return the predicted class (n,) of inputs (n, ...)."""
        return self.reading.labels(self.scores(x))


def build(
    uri: str,
    ask: Ask,
    settings: Settings,
    *,
    expects: Spec | None = None,
    output: str | int | None = None,
    connections: int = 1,
    single: bool = False,
    release: Callable[[], None] = lambda: None,
) -> Endpoint:
    """Ask an endpoint about a few inputs, settle how it answers, and wrap it.

    Args:
        uri: As given.
        ask: See `Ask`.
        settings: Bounds, sample, shape, classes, scores, batch.
        expects: What its metadata says of its only input, where there is metadata.
        output: Name or position of the output that holds the scores or labels.
        connections: Most questions under way at once.
        single: Whether a question carries one input.
        release: Closes the transport.

    Raises:
        TargetError: It does not answer, or answers neither scores nor labels.
        UsageError: Nobody knows the shape of its inputs, or how many classes it has.
    """
    said = None if expects is None or expects.shape is None else expects.shape[1:]
    stated = settings.shape is not None or settings.sample is not None
    sample = answers.sample(settings, None if stated else said)
    batch = 1 if single else max(1, settings.batch)
    batch = min(batch, max(1, _LARGEST // max(1, sample[0].size)))
    if expects is not None and expects.shape and expects.shape[0] > 0:
        batch = min(batch, expects.shape[0])
    notes: list[str] = []
    asked = sample[: min(_PROBE, batch)]
    first, again = _probe(ask, asked), _probe(ask, asked)
    found = pick(first, len(asked), settings, output)
    lower, upper = settings.bounds or (0.0, 1.0)
    target = make(Target, kind="endpoint", uri=uri)
    notes += found.notes
    if found.how != "scores":
        names = settings.class_names
        classes = settings.classes or (len(names) if names else None)
        if classes is None:
            raise UsageError(
                "the endpoint answers with labels, which do not tell how many classes there are",
                hint="classes = N under [model]",
            )
        notes.append("the endpoint answers labels alone: only decision-based attacks apply")
        if settings.threshold is not None:
            notes.append("the threshold is not applied: the endpoint has already decided")
        same = labels_of(first, found, len(asked), names) == labels_of(
            again, found, len(asked), names
        )
        return Endpoint(
            target=target,
            ask=ask,
            found=found,
            shape=sample.shape[1:],
            classes=classes,
            lower=lower,
            upper=upper,
            batch=batch,
            connections=connections,
            release=release,
            deterministic=bool(same.all()),
            notes=(*notes, *_unsteady(bool(same.all()))),
            class_names=names,
        )
    raw = take(first, found, len(asked))
    reading, guessed = answers.read(raw, len(asked), settings)
    if found.order is not None:
        reading = reading._replace(order=found.order)
    same = np.isclose(raw, take(again, found, len(asked)), rtol=_SAME, atol=_SAME)
    return ScoredEndpoint(
        target=target,
        ask=ask,
        found=found,
        shape=sample.shape[1:],
        classes=reading.classes,
        lower=lower,
        upper=upper,
        batch=batch,
        connections=connections,
        release=release,
        threshold=reading.threshold,
        deterministic=bool(same.all()),
        notes=(*notes, *guessed, *_unsteady(bool(same.all()))),
        class_names=settings.class_names,
        gives=frozenset({"scores", "labels"}),
        reading=reading,
        kind=reading.kind,
    )


def check_inputs(x: Array, shape: tuple[int, ...]) -> None:
    """Refuse inputs that must not be sent.

    Raises:
        TargetError: Another shape than the endpoint takes, NaN or infinite, or beyond all bounds.
    """
    if x.shape[1:] != shape:
        raise TargetError(f"inputs of shape {x.shape[1:]}, the endpoint takes {shape}")
    if x.size > MAX_ELEMENTS:
        raise TargetError(f"{x.size} numbers in one call")
    if not np.isfinite(x).all():
        raise TargetError("NaN or infinity among the inputs; nothing was sent")


def _probe(ask: Ask, x: Array) -> Answer:
    answer = ask(x)
    if answer is None:
        raise TargetError(
            f"the endpoint finds {len(x)} inputs of shape {x.shape[1:]} too large to answer"
        )
    return answer


def _unsteady(same: bool) -> tuple[str, ...]:
    return () if same else ("the endpoint answers the same question differently each time",)
