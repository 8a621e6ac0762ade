"""The guard, ready made: policy and keys from the configuration, judges from `detect`, events kept.

`asgi` and `wsgi` wrap a Python model server; `run` is the reverse proxy of `casemate guard`, with
the near-line analysis in a process of its own, whose end never costs a request.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.errors import CasemateError, MissingExtra, UsageError
from casemate.workflows import config
from casemate.workflows.analysis import Supervisor
from casemate.workflows.composing import compose
from casemate.workflows.page import now_us

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casemate.export.prometheus import Counters
    from casemate.guard.ask import Payload
    from casemate.guard.policy import GuardTable
    from casemate.guard.proxy.listening import Proxy
    from casemate.records.detection import Detection
    from casemate.records.event import Event
    from casemate.store.workspace import Workspace
    from casemate.workflows.analysis import Blind
    from casemate.workflows.composing import Composed
    from casemate.workflows.config import Loaded

_log = logging.getLogger(__name__)
EVERY = 0.25
"""Seconds between two looks into the book of orders and after the analysis process."""


def learn_contract(loaded: Loaded, file: Path) -> int:
    """Learn the input contract from the configured data; return how many inputs there were.

    Raises:
        UsageError: No data are configured, or they cannot be read.
    """
    from casemate.detect.inline.contract import learn, write_contract
    from casemate.targets.data import open_data

    table = loaded.config.model
    if table.data is None:
        raise UsageError("there are no data to learn from", hint="data = ... under [model]")
    data = open_data(
        table.data,
        label=table.label,
        columns=loaded.config.column,
        bounds=table.bounds,
        root=loaded.root,
    )
    write_contract(learn(data.x, [one.name for one in data.columns]), file)
    return len(data.x)


def asgi(app: Any, configuration: str | Path | None = None) -> Any:
    """Wrap an ASGI model server in the guard that casemate.toml describes.

    Events go to the workspace beside the configuration, and a process of its own looks at them,
    tells people and gives orders, as under `casemate guard`. Orders are obeyed within seconds.

    Args:
        app: The ASGI application.
        configuration: Path of casemate.toml; None for the nearest one.

    Raises:
        UsageError, MissingExtra, StoreError: As `compose`.
    """
    from casemate.guard import asgi as shell

    return shell.asgi(app, **_inside(configuration, "asgi"))


def wsgi(app: Any, configuration: str | Path | None = None) -> Any:
    """Wrap a WSGI model server; see `asgi`."""
    from casemate.guard import wsgi as shell

    return shell.wsgi(app, **_inside(configuration, "wsgi"))


def _inside(configuration: str | Path | None, shell: str) -> dict[str, Any]:
    loaded = config.read(None if configuration is None else Path(configuration))
    composed = compose(loaded, loaded.config.guard, shell=shell)
    for warning in composed.guard.warnings:
        _log.warning("%s", warning)
    lock = threading.Lock()
    stop = threading.Event()
    # Of several worker processes one looks at the events; the others stand by.
    supervisor = Supervisor(loaded, composed.workspace.folder, composed.place)
    supervisor.start()

    def tend() -> None:
        while not stop.wait(EVERY):
            with lock:
                try:
                    composed.turn(datetime.now(UTC))
                except CasemateError as error:
                    _log.error("%s", error)
                _note(composed, supervisor.turn(now_us()), _log.warning)

    def end() -> None:
        stop.set()
        supervisor.stop()
        with lock:
            composed.close()

    threading.Thread(target=tend, name="casemate-guard", daemon=True).start()
    atexit.register(end)
    keeping = composed.keeping
    return {
        "guard": composed.guard,
        "record": composed.sink.append,
        "lock": lock,
        "keep": None if keeping is None else lambda payload: keeping.capture([payload]),
    }


def run(
    loaded: Loaded,
    policy: GuardTable,
    *,
    store: Path | None = None,
    envoy: bool = False,
    analysis: bool = True,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the reverse proxy, or Envoy's external processor, until SIGTERM or SIGINT.

    Args:
        loaded: The configuration.
        policy: `[guard]`, with what the command line changes.
        store: The workspace; None for the one beside the configuration.
        envoy: Answer an Envoy instead of being a proxy.
        analysis: Whether to look at the events near line, in a process of its own.
        say: Told where it listens, and of what goes wrong.

    Raises:
        UsageError, MissingExtra, StoreError: As `compose`; or a port that cannot be opened.
    """
    composed = compose(loaded, policy, store, shell="envoy" if envoy else "")
    for warning in composed.guard.warnings:
        say(f"warning: {warning}")
    try:
        import uvloop

        runner: Any = uvloop.run
    except ModuleNotFoundError:
        runner = asyncio.run
    try:
        runner(_serve(loaded, policy, composed, envoy=envoy, analysis=analysis, say=say))
    finally:
        composed.close()


async def _serve(
    loaded: Loaded,
    policy: GuardTable,
    composed: Composed,
    *,
    envoy: bool,
    analysis: bool,
    say: Callable[[str], None],
) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    capture = composed.keeping.capture if composed.keeping is not None else _nothing
    async with contextlib.AsyncExitStack() as stack:
        if envoy:
            await _behind_envoy(policy, composed, capture, stack, say)
        else:
            await _as_proxy(policy, composed, capture, stack, say)
        supervisor = None
        if analysis:
            supervisor = Supervisor(loaded, composed.workspace.folder, composed.place)
            supervisor.start()
            stack.callback(supervisor.stop)
        while not stop.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY)
            try:
                composed.turn(datetime.now(UTC))
            except CasemateError as error:
                say(f"error: {error}")
            if supervisor is not None:
                _note(composed, supervisor.turn(now_us()), say)
        if supervisor is not None:
            _note(composed, supervisor.dark(now_us()), say)


def _note(composed: Composed, gaps: Sequence[Blind], say: Callable[[str], None]) -> None:
    for gap in gaps:
        say(gap.why)
        try:
            composed.sink.append(composed.guard.gap(gap.began, gap.ended, gap.why))
        except CasemateError as error:
            say(f"error: {error}")


async def _as_proxy(
    policy: GuardTable,
    composed: Composed,
    capture: Callable[[Sequence[Payload]], None],
    stack: contextlib.AsyncExitStack,
    say: Callable[[str], None],
) -> None:
    from casemate.export.prometheus import Counters
    from casemate.guard.admin import VARIABLE
    from casemate.guard.proxy.listening import Proxy

    counters = Counters()

    def record(events: Sequence[Event]) -> None:
        counters.count(events)
        composed.sink.append(events)

    scraped = policy.admin is not None and VARIABLE in os.environ
    proxy = Proxy(
        policy, composed.guard, record if scraped else composed.sink.append, capture=capture
    )
    if policy.admin is not None:
        _admin(policy, composed, proxy, counters, stack, say)
    for host, port in await proxy.start():
        say(f"guarding {policy.upstream} on {host}:{port}, {policy.mode}")
    stack.push_async_callback(proxy.stop)


def _admin(
    policy: GuardTable,
    composed: Composed,
    proxy: Proxy,
    counters: Counters,
    stack: contextlib.AsyncExitStack,
    say: Callable[[str], None],
) -> None:
    from casemate.guard.admin import VARIABLE, admin_app, read_token, serve_admin
    from casemate.store.orders import OrderBook

    if VARIABLE not in os.environ:
        say(f"no admin pages: {VARIABLE} is not set")
        return
    app = admin_app(
        read_token(os.environ),
        counts=lambda: proxy.counts,
        counters=counters,
        detections=lambda: _detections(composed.workspace),
        connections=lambda: proxy.connections,
        orders=lambda: OrderBook(composed.workspace).active(datetime.now(UTC)),
        ready=lambda: _answers(proxy.address.host, proxy.address.port),
        mode=policy.mode,
    )
    serving = asyncio.get_running_loop().create_task(serve_admin(app, str(policy.admin)))
    stack.callback(serving.cancel)
    say(f"admin pages on {policy.admin}")


def _detections(workspace: Workspace) -> list[Detection]:
    from casemate.records.detection import Detection

    return [one for run in workspace.runs("guard") for one in workspace.records(run.id, Detection)]


async def _answers(host: str, port: int) -> bool:
    """Say whether somebody accepts connections there."""
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # a timeout is one too
        return False
    writer.close()
    return True


async def _behind_envoy(
    policy: GuardTable,
    composed: Composed,
    capture: Callable[[Sequence[Payload]], None],
    stack: contextlib.AsyncExitStack,
    say: Callable[[str], None],
) -> None:
    from collections import Counter

    from casemate.guard.desk import Desk

    try:
        from casemate.guard.ext_proc import Processor
    except ModuleNotFoundError as error:
        raise MissingExtra("envoy", for_="the external processor") from error
    counts: Counter[tuple[str, str]] = Counter()

    def count(name: str, label: str) -> None:
        counts[name, label] += 1

    desk = Desk(composed.guard, composed.sink.append, keep=lambda one: capture((one,)), count=count)
    processor = Processor(policy, desk)
    await processor.start()
    stack.push_async_callback(processor.stop)
    say(f"answering Envoy on {policy.listen}, {policy.mode}")


def _nothing(_: Sequence[Payload]) -> None:
    """Keep no payload."""


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
        if listen.isdecimal():
            listen = f"127.0.0.1:{listen}"
        # The caller who writes a colon and no host wants every interface.
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
