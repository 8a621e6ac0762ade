"""A guard put together: policy and keys from the configuration, judges, record, orders, payloads.

`workflows.serve` puts it in the path of requests; what it is made of stands here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from casemate.errors import CasemateError, MissingExtra
from casemate.store.guards import ALIVE, GuardBook, Standing
from casemate.store.keys import key_folder
from casemate.workflows import exporting
from casemate.workflows.collecting import held_since
from casemate.workflows.keeping import Keeping
from casemate.workflows.page import check_rules, now_us

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.guard.guard import Guard
    from casemate.guard.keys import Keys
    from casemate.guard.policy import GuardTable
    from casemate.store.payloads import Vault
    from casemate.store.streams.relay import OrderRelay
    from casemate.store.telemetry.sink import EventSink
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded


@dataclasses.dataclass
class Composed:
    """A guard with all that it leans on."""

    guard: Guard
    sink: EventSink
    workspace: Workspace
    place: str
    """Where its events are."""
    relay: OrderRelay | None
    keeping: Keeping | None
    """Of captured payloads; None where capture is off."""
    shell: str = "proxy"
    """How it stands in the path: `envoy`, `asgi`, `wsgi`, or a proxy's upstream."""
    _said: Standing | None = None

    def turn(self, now: datetime) -> None:
        """Obey the orders in force, those that came over the stream too, and say so."""
        from casemate.store.orders import OrderBook

        if self.relay is not None:
            self.relay.turn(now)
        orders = OrderBook(self.workspace).active(now)
        self.guard.obey(orders)
        refuses = dict(self.guard.misunderstood)
        standing = Standing(
            writer=self.guard.writer,
            mode=self.guard.policy.mode,
            upstream=self.shell,
            seen=now_us(),
            obeys=tuple(one.id for one in orders if one.id not in refuses),
            refuses=refuses,
        )
        said = self._said
        if (
            said is None
            or (said.obeys, said.refuses) != (standing.obeys, standing.refuses)
            or standing.seen - said.seen > ALIVE // 3
        ):
            GuardBook(self.workspace).tell(standing)
            self._said = standing

    def close(self) -> None:
        """Put the end on record and let go."""
        with contextlib.suppress(CasemateError):
            self.sink.append([*self.guard.rest(), *self.guard.say("stopped", now_us())])
            GuardBook(self.workspace).gone(self.guard.writer)
        self.sink.close()
        if self.keeping is not None:
            self.keeping.close()
        self.workspace.close()


def compose(
    loaded: Loaded, policy: GuardTable, store: Path | None = None, *, shell: str = ""
) -> Composed:
    """Put a guard together: keys, judges, the journal of its events, the book of its orders.

    Args:
        loaded: The configuration.
        policy: `[guard]`, with what the command line changes.
        store: The workspace; None for the one beside the configuration.
        shell: How it stands in the path, where it is no proxy.

    Raises:
        UsageError: Something in the policy cannot be, or the key is weak or badly kept.
        MissingExtra: `casemate[guard]` is not installed.
        StoreError: The events cannot be written.
    """
    try:
        from casemate.detect.inline.contract import read_contract
        from casemate.detect.inline.judge import InlineJudge
        from casemate.guard import keys
        from casemate.guard.guard import Guard
        from casemate.store.telemetry.opening import new_writer, open_sink
    except ModuleNotFoundError as error:
        raise MissingExtra("guard", for_="the guard") from error
    from casemate.workflows.job import open_workspace

    check_rules(policy.rule)
    exporting.check(policy.export, loaded.root, os.environ)
    workspace = open_workspace(store, loaded)
    held = keys.read(os.environ, key_folder(os.environ) / "guard.key", workspace=workspace.folder)
    contract = None if policy.contract is None else read_contract(loaded.root / policy.contract)
    judge = InlineJudge(held.derive("fingerprints"), contract=contract)
    judge.warm()
    place = policy.telemetry or str(workspace.folder / "telemetry")
    sink = open_sink(place, new_writer())
    relay = None
    if policy.stream is not None:
        from casemate.store.orders import OrderBook
        from casemate.store.streams.opening import open_stream
        from casemate.store.streams.relay import OrderRelay, Tee

        stream = open_stream(policy.stream, key=held.derive("stream"))
        sink, relay = Tee(sink, stream), OrderRelay(stream, OrderBook(workspace))
    guard = Guard(
        policy, keys=held, judge=judge, writer=sink.writer, root=loaded.root, secrets=os.environ
    )
    keeping = None
    if policy.capture.keep != "nothing":
        keeping = Keeping(vault(policy, workspace, held), lambda: held_since(workspace))
    stands = shell or str(policy.upstream)
    composed = Composed(guard, sink, workspace, place, relay, keeping, stands)
    sink.append(guard.say("started", now_us()))
    composed.turn(datetime.now(UTC))
    return composed


def vault(policy: GuardTable, workspace: Workspace, held: Keys) -> Vault:
    """Return the vault of captured payloads of a workspace."""
    from casemate.store.payloads import Vault

    return Vault(
        workspace.folder / "payloads",
        held.derive("payloads"),
        redact=policy.capture.redact,
        days=policy.capture.days,
    )


def erase(loaded: Loaded, principal: str, store: Path | None = None) -> int:
    """Destroy what was captured of a principal, and its key; return how many payloads there were.

    Events stay on record: they hold no payload, and removing one would break the log.

    Raises:
        StoreError: Something cannot be removed.
    """
    from casemate.guard import keys
    from casemate.workflows.job import open_workspace

    with open_workspace(store, loaded) as workspace:
        held = keys.read(
            os.environ, key_folder(os.environ) / "guard.key", workspace=workspace.folder
        )
        return vault(loaded.config.guard, workspace, held).erase(principal)
