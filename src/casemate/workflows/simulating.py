"""A small service to rehearse on: a model of our own behind the real guard, its record in a folder.

The model is linear and made here; callers, guard, judge, journal and orders are the real ones. The
clock is simulated: it stands at the real time when the rehearsal begins to respond.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from casemate.detect.inline.judge import InlineJudge
from casemate.errors import Refused
from casemate.guard.call import Call, Reply
from casemate.guard.guard import Guard
from casemate.guard.keys import Keys
from casemate.records.event import Event, Measures
from casemate.records.make import make
from casemate.records.target import Target
from casemate.store.guards import GuardBook, Standing
from casemate.store.orders import OrderBook
from casemate.store.telemetry.opening import new_writer, open_sink
from casemate.targets.wire import oip
from casemate.targets.wire.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from casemate.catalog.entries import Sample
    from casemate.guard.policy import GuardTable
    from casemate.store.workspace import Workspace
    from casemate.targets.capabilities import Capability

MODEL = "rehearsal"
SECOND = 1_000_000
CELLS, CLASSES = 24, 3
_MEASURES = frozenset(Measures.__struct_fields__)


class Service:
    """The model, the guard before it, and the clock."""

    def __init__(self, folder: Path, policy: GuardTable, seed: int, began: int) -> None:
        """Start serving.

        Args:
            folder: Of the telemetry.
            policy: `[guard]`.
            seed: Of the model and of everything callers do.
            began: Microseconds since the epoch.
        """
        self.rng = np.random.default_rng(seed)
        self._folder = folder
        self.at = began
        self.version = "1"
        self.refused = 0
        self._truth = self.rng.normal(0, 1.0, (CELLS, CLASSES))
        self.x, self.y = self.rows(600)
        self._models = {"1": _fit(self.x, self.y)}
        key = os.urandom(32)
        self._sink = open_sink(folder, new_writer())
        self._guard = Guard(
            policy, keys=Keys(key), judge=InlineJudge(key), writer=self._sink.writer
        )
        self._policy = policy

    def rows(self, n: int) -> tuple[Any, Any]:
        """Return `n` ordinary inputs (n, cells) in [0, 1] and their classes (n,)."""
        x = self.rng.random((n, CELLS))
        return x, ((x - 0.5) @ self._truth).argmax(axis=1)

    def poison(self, share: float) -> None:
        """Train another version on rows of which a share carries the label of class 0."""
        y = self.y.copy()
        y[self.rng.random(len(y)) < share] = 0
        self._models["2"] = _fit(self.x, y)
        self.version = "2"

    def repair(self) -> None:
        """Train a version that nobody has attacked."""
        self._models["3"] = _fit(*self.rows(900))
        self.version = "3"

    def ask(self, row: Any, principal: str, after: float = 1.0) -> Any:
        """Ask for the scores of one row (cells,); None where the guard answered itself.

        Args:
            row: The input.
            principal: Who asks.
            after: Seconds since the request before.
        """
        self.at += int(after * SECOND)
        path = f"/v2/models/{MODEL}/versions/{self.version}/infer"
        message = oip.encode_request([Tensor("x", np.asarray(row, np.float64)[None], "FP64")])
        headers = (("content-type", message.content_type), ("x-user", principal))
        asked = self._guard.ask(Call("POST", path, "", headers, message.body, "10.0.0.9", self.at))
        version = "1" if asked.action.upstream else self.version
        scores = _probabilities(self._models[version], row)
        made = oip.encode_response(MODEL, [Tensor("scores", scores[None], "FP64")])
        reply = Reply(200, (("content-type", made.content_type),), made.body)
        held = asked.action.reply is not None
        self.at += int(asked.action.delay * SECOND)
        found = self._guard.answer(asked, None if held else reply, self.at + 2000)
        self._sink.append(found.events)
        if held:
            self.refused += 1
            return None
        return scores

    def crowd(self, n: int) -> None:
        """Let ordinary callers ask `n` times, about twice a second."""
        x, _ = self.rows(n)
        for row in x:
            who = int(30 * self.rng.random() ** 2)
            self.ask(row, f"user-{who}", after=float(self.rng.exponential(0.5)))

    def record(self, samples: Sequence[Sample], began: int) -> None:
        """Put recorded events of a fixture on record, as a writer of its own.

        Args:
            samples: Runs of alike events; fields are those of Event and of its measures.
            began: Where their clock begins, in microseconds since the epoch.
        """
        made = []
        for sample in samples:
            for number in range(sample.count):
                fields: dict[str, Any] = {**sample.fields}
                fields |= {name: _other(name, number) for name in sample.vary}
                at = began + int((sample.start + number * sample.every) * SECOND)
                made.append((at, fields))
        made.sort(key=lambda one: one[0])
        sink = open_sink(self._folder, new_writer())
        sink.append([_event(sink.writer, n, *one) for n, one in enumerate(made)])
        sink.close()

    def obey(self, workspace: Workspace, now: datetime) -> None:
        """Obey the orders in force, and say so in the book of guards."""
        orders = OrderBook(workspace).active(now)
        self._guard.obey(orders)
        refuses = dict(self._guard.misunderstood)
        GuardBook(workspace).tell(
            Standing(
                writer=self._guard.writer,
                mode=self._policy.mode,
                upstream="rehearsal",
                seen=time.time_ns() // 1000,
                obeys=tuple(one.id for one in orders if one.id not in refuses),
                refuses=refuses,
            )
        )

    def flush(self) -> None:
        """Put everything on record that waits."""
        self._sink.append(self._guard.rest())
        self._sink.flush()

    def close(self) -> None:
        """End the service."""
        self.flush()
        self._sink.close()


class Door:
    """The service as an attacker sees it: a target of the catalog's attacks."""

    kind: ClassVar[str] = "probabilities"
    gives: frozenset[Capability] = frozenset({"scores", "labels"})
    classes = CLASSES
    shape = (CELLS,)
    lower = 0.0
    upper = 1.0
    threshold = None
    deterministic = True
    notes: tuple[str, ...] = ()

    def __init__(self, service: Service, principal: str) -> None:
        self._service = service
        self._principal = principal
        self.target = make(Target, kind="endpoint", uri="rehearsal:service")

    def scores(self, x: Any) -> Any:
        """Return scores (n, classes); see `casemate.targets.capabilities.Scores`.

        Raises:
            Refused: The guard answered itself.
        """
        found = [self._service.ask(row, self._principal) for row in np.asarray(x)]
        if any(one is None for one in found):
            raise Refused("the guard refused")
        return np.asarray(found)

    def labels(self, x: Any) -> Any:
        """Return labels (n,)."""
        return self.scores(x).argmax(axis=1).astype(np.int64)

    def close(self) -> None:
        """Nothing is held."""


def _fit(x: Any, y: Any) -> Any:
    """Return weights (cells + 1, classes) of a linear model by least squares."""
    wide = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return np.linalg.lstsq(wide, np.eye(CLASSES)[y] * 8 - 4, rcond=None)[0]


def _probabilities(weights: Any, row: Any) -> Any:
    logits = np.concatenate([np.asarray(row, np.float64), [1.0]]) @ weights
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def _other(name: str, number: int) -> str | int:
    return number if name in ("cluster", "label") else f"{number:032x}"


def _event(writer: str, sequence: int, at: int, fields: dict[str, Any]) -> Event:
    measures = {name: value for name, value in fields.items() if name in _MEASURES}
    rest = {name: value for name, value in fields.items() if name not in _MEASURES}
    body = {"model": MODEL, "version": "1", "status": 200, "took": 2000, **rest}
    return make(
        Event, writer=writer, sequence=sequence, at=at, request=str(sequence),
        measures=measures, **body,
    )  # fmt: skip
