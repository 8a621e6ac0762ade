"""The guard, ready made: policy and keys from the configuration, judges from `detect`, events kept.

`asgi` and `wsgi` wrap a Python model server; `run` is the reverse proxy of `casemate guard`, with
the near-line analysis in a process of its own, whose end never costs a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.errors import MissingExtra, UsageError
from casemate.workflows import config
from casemate.workflows.analysis import Supervisor
from casemate.workflows.page import check_rules, now_us
from casemate.workflows.scope import key_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from casemate.guard.guard import Guard
    from casemate.guard.policy import GuardTable
    from casemate.store.telemetry.sink import EventSink
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import Loaded

EVERY = 1.0
"""Seconds between two looks into the book of orders and after the analysis process."""


class Composed(NamedTuple):
    """A guard with all that it leans on."""

    guard: Guard
    sink: EventSink
    workspace: Workspace
    place: str
    """Where its events are."""

    def turn(self, now: int) -> None:
        """Do what is due: obey the orders in force, let waiting events go on record."""
        from casemate.store.orders import OrderBook

        self.guard.obey(OrderBook(self.workspace).active(_moment(now)))
        waiting = self.guard.due(now)
        if waiting:
            self.sink.append(waiting)

    def close(self) -> None:
        """Put the rest on record and let go."""
        now = now_us()
        rest = [*self.guard.rest(), *self.guard.say("stopped", now)]
        with contextlib.suppress(Exception):
            self.sink.append(rest)
        self.sink.close()
        self.workspace.close()


def compose(loaded: Loaded, policy: GuardTable, store: Path | None = None) -> Composed:
    """Put a guard together: keys, judges, the journal of its events, the book of its orders.

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
    workspace = open_workspace(store, loaded)
    held = keys.read(os.environ, key_folder() / "guard.key", workspace=workspace.folder)
    contract = None if policy.contract is None else read_contract(loaded.root / policy.contract)
    judge = InlineJudge(held.derive("fingerprints"), contract=contract)
    judge.warm()
    place = policy.telemetry or str(workspace.folder / "telemetry")
    sink = open_sink(place, new_writer())
    guard = Guard(
        policy, keys=held, judge=judge, writer=sink.writer, root=loaded.root, secrets=os.environ
    )
    composed = Composed(guard, sink, workspace, place)
    sink.append(guard.say("started", now_us()))
    composed.turn(now_us())
    return composed


def asgi(app: Any, configuration: str | Path | None = None) -> Any:
    """Wrap an ASGI model server in the guard that casemate.toml describes.

    Events go to the workspace beside the configuration; `casemate detect --live` or a running
    `casemate guard` looks at them. Orders are obeyed within a few seconds.

    Args:
        app: The ASGI application.
        configuration: Path of casemate.toml; None for the nearest one.

    Raises:
        UsageError, MissingExtra, StoreError: As `compose`.
    """
    from casemate.guard import asgi as shell

    return shell.asgi(app, **_inside(configuration))


def wsgi(app: Any, configuration: str | Path | None = None) -> Any:
    """Wrap a WSGI model server; see `asgi`."""
    from casemate.guard import wsgi as shell

    return shell.wsgi(app, **_inside(configuration))


def _inside(configuration: str | Path | None) -> dict[str, Any]:
    loaded = config.read(None if configuration is None else Path(configuration))
    composed = compose(loaded, loaded.config.guard)
    lock = threading.Lock()

    def tend() -> None:
        while not stop.wait(EVERY):
            with lock, contextlib.suppress(Exception):
                composed.turn(now_us())

    stop = threading.Event()
    threading.Thread(target=tend, name="casemate-guard", daemon=True).start()
    return {"guard": composed.guard, "record": composed.sink.append, "lock": lock}


def run(
    loaded: Loaded,
    policy: GuardTable,
    *,
    store: Path | None = None,
    analysis: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the reverse proxy until SIGTERM or SIGINT.

    Args:
        loaded: The configuration.
        policy: `[guard]`, with what the command line changes.
        store: The workspace; None for the one beside the configuration.
        analysis: Whether to look at the events near line, in a process of its own.
        say: Told where it listens, and of what goes wrong.

    Raises:
        UsageError, MissingExtra, StoreError: As `compose`; or a port that cannot be opened.
    """
    composed = compose(loaded, policy, store)
    try:
        import uvloop

        runner: Any = uvloop.run
    except ModuleNotFoundError:
        runner = asyncio.run
    try:
        runner(_serve(loaded, policy, composed, analysis=analysis, say=say))
    finally:
        composed.close()


async def _serve(
    loaded: Loaded,
    policy: GuardTable,
    composed: Composed,
    *,
    analysis: bool,
    say: Callable[[str], None],
) -> None:
    from casemate.guard.proxy.listening import Proxy

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    proxy = Proxy(policy, composed.guard, composed.sink.append)
    places = await proxy.start()
    for host, port in places:
        say(f"guarding {policy.upstream} on {host}:{port}, {policy.mode}")
    supervisor = None
    if analysis:
        supervisor = Supervisor(loaded, composed.workspace.folder, composed.place)
        supervisor.start()
    try:
        while not stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY)
            try:
                composed.turn(now_us())
                if supervisor is not None:
                    for gap in supervisor.turn(now_us()):
                        say(gap.why)
                        composed.sink.append(composed.guard.gap(gap.began, gap.ended, gap.why))
            except Exception as error:  # noqa: BLE001 - serving goes on whatever fails beside it
                say(f"error: {type(error).__name__}: {error}")
    finally:
        await proxy.stop()
        if supervisor is not None:
            for gap in supervisor.dark(now_us()):
                composed.sink.append(composed.guard.gap(gap.began, gap.ended, gap.why))
            supervisor.stop()


def _moment(at: int) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at / 1e6, UTC)


def changed(
    policy: GuardTable,
    *,
    upstream: str | None = None,
    listen: str | None = None,
    admin: str | None = None,
    principal: str | None = None,
    enforce: bool = False,
) -> GuardTable:
    """Return the policy with what the command line says; None leaves a value alone.

    Raises:
        UsageError: `principal` is not `header:NAME`, `claim:NAME` or `field:NAME`.
    """
    import msgspec

    changes: dict[str, Any] = {}
    if upstream is not None:
        changes["upstream"] = upstream
    if listen is not None:
        # The caller who leaves out the host wants every interface.
        changes["listen"] = f"0.0.0.0{listen}" if listen.startswith(":") else listen  # noqa: S104
    if admin is not None:
        changes["admin"] = None if admin == "none" else admin
    if enforce:
        changes["mode"] = "enforce"
    if principal is not None:
        kind, _, name = principal.partition(":")
        if kind not in ("header", "claim", "field") or not name:
            raise UsageError(
                f"--principal {principal} says not who asks",
                hint="header:X-User, claim:sub or field:user",
            )
        changes["principal"] = msgspec.structs.replace(policy.principal, **{kind: name})
    return msgspec.structs.replace(policy, **changes)
