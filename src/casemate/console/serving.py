"""The console as a process: where it listens, which doors that takes, and its one-time link."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import uvicorn

from casemate.console import desk as desks
from casemate.console import signin
from casemate.console.app import NAME, Console, create
from casemate.console.jobs import Jobs
from casemate.console.live import Watch
from casemate.console.people import Sessions
from casemate.console.render import files, pages
from casemate.console.trail import Trail
from casemate.errors import UsageError
from casemate.workflows import custody, overview
from casemate.workflows.job import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp

    from casemate.console.oidc import Provider
    from casemate.store.workspace import Workspace
    from casemate.workflows.config import ConsoleTable, Loaded


class Place(NamedTuple):
    """Where a console answers."""

    sock: socket.socket
    scheme: str
    url: str
    """As browsers reach it."""
    hosts: frozenset[str]
    local: bool


class Built(NamedTuple):
    """A console that can be served."""

    app: ASGIApp
    desk: desks.Desk
    link: signin.Link | None
    place: Place


def run(
    loaded: Loaded, table: ConsoleTable, store: Path | None, say: Callable[[str], None]
) -> None:
    """Serve until interrupted.

    Args:
        loaded: The configuration.
        table: `[console]`, with what the command line changes.
        store: The workspace; None for the one beside the configuration.
        say: Prints a line for the owner.

    Raises:
        UsageError: Others could reach it, and nothing would keep them out.
    """
    place = listen(table)
    with open_workspace(store, loaded) as workspace, place.sock:
        built = build(loaded, workspace, table, place)
        say(f"casemate console for {workspace.folder}")
        if built.link is not None:
            _invite(built.link, place, say)
        else:
            say(f"open {place.url}")
        server(built, table).run(sockets=[place.sock])


class _Server(uvicorn.Server):
    """Lets live connections go before it ends, which would else be waited for."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        super().__init__(config)
        self._watch = watch

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        self._watch.end()
        await super().shutdown(sockets)


def server(built: Built, table: ConsoleTable) -> uvicorn.Server:
    """Return what serves a console on the socket of its place."""
    config = uvicorn.Config(
        built.app,
        log_level="error",
        access_log=False,
        lifespan="off",
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=2,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=32 * 1024,
        ssl_certfile=table.tls_cert,
        ssl_keyfile=table.tls_key,
    )
    return _Server(config, built.desk.watch)


def build(loaded: Loaded, workspace: Workspace, table: ConsoleTable, place: Place) -> Built:
    """Put a console together.

    Raises:
        UsageError: A token file that is none, a provider nobody may ask.
    """
    from casemate.console.tokens import Tokens

    tokens = Tokens(loaded.root / table.tokens) if table.tokens else None
    provider = _provider(table, place.url)
    link = signin.Link(custody.author()) if tokens is None and provider is None else None
    doors = signin.Doors(link=link, tokens=tokens, provider=provider)
    static = files()
    traffic = desks.open_traffic(loaded, workspace)
    jobs = Jobs()
    desk = desks.Desk(
        loaded=loaded,
        workspace=workspace,
        traffic=traffic,
        sessions=Sessions(stands=doors.stands),
        trail=Trail(workspace.folder),
        pages=pages(),
        watch=Watch(lambda: f"{overview.mark(workspace, traffic)}.{jobs.told}"),
        jobs=jobs,
    )
    port = place.sock.getsockname()[1]
    secure = place.scheme == "https"
    console = Console(
        desk, doors, static, secure=secure, proxied=table.behind_tls_proxy,
        cookie=f"__Host-{NAME}" if secure else f"{NAME}-{port}",
    )  # fmt: skip
    return Built(create(console, hosts=set(place.hosts), scheme=place.scheme), desk, link, place)


def listen(table: ConsoleTable) -> Place:
    """Take the port, unless others could reach it unguarded.

    Raises:
        UsageError: Not an address, a port that is taken, or one that is reached from beyond the
            loopback without TLS or without a way to tell people apart.
    """
    host, _, port = table.listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"'{table.listen}' is no host:port", hint="--listen 127.0.0.1:8700")
    local = _is_loopback(host)
    named = urlsplit(table.url) if table.url else None
    if named is not None and (named.scheme not in ("http", "https") or not named.netloc):
        raise UsageError(f"'{table.url}' is no address", hint="https://console.example")
    guarded = bool(table.tokens or table.oidc)
    tls = bool(table.tls_cert and table.tls_key)
    reachable = not local or table.behind_tls_proxy or named is not None
    if reachable and not guarded:
        raise UsageError(
            f"{table.listen} can be reached by others, and nothing says who may come in",
            hint="--tokens FILE, made with --new-token NAME:ROLE, or [console.oidc]",
        )
    if not local and not tls and not table.behind_tls_proxy:
        raise UsageError(
            f"{table.listen} can be reached by others, who would send their tokens in the clear",
            hint="--tls-cert FILE --tls-key FILE, or --behind-tls-proxy",
        )
    if tls:
        _check_tls(str(table.tls_cert), str(table.tls_key))
    scheme = "https" if tls or table.behind_tls_proxy else "http"
    if named is not None and named.scheme != scheme:
        raise UsageError(f"{table.url}: browsers come over {scheme}")
    if named is not None and named.scheme == "http" and not _is_loopback(named.hostname or ""):
        raise UsageError(
            f"{table.url} is reached over a network, where tokens would go in the clear",
            hint='url = "https://..." with --tls-cert and --tls-key, or --behind-tls-proxy',
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as error:
        raise UsageError(
            f"{table.listen}: {error.strerror or error}",
            hint="--listen 127.0.0.1:0 takes a free port",
        ) from error
    taken = int(sock.getsockname()[1])
    hosts = _hosts(host, taken, scheme, local)
    if named is not None:
        hosts = {named.netloc.lower()}
    shown = f"[{host}]" if ":" in host else host
    url = table.url.rstrip("/") if table.url else f"{scheme}://{shown}:{taken}"
    return Place(sock, scheme, url, frozenset(hosts), local)


def _hosts(host: str, port: int, scheme: str, local: bool) -> set[str]:
    if local:
        names = {"127.0.0.1", "localhost", "[::1]"}
    elif host in ("0.0.0.0", "::"):  # noqa: S104 - what the user asked for
        names = {socket.gethostname().lower(), socket.getfqdn().lower()}
    else:
        names = {f"[{host}]" if ":" in host else host.lower()}
    usual = {"http": 80, "https": 443}[scheme]
    return {f"{one}:{port}" for one in names} | (names if port == usual else set())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_tls(cert: str, key: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{cert} and {key} are no certificate and its key: {error}") from error


def _provider(table: ConsoleTable, url: str) -> Provider | None:
    if table.oidc is None:
        return None
    from casemate.console.oidc import Provider

    secret = None
    if table.oidc.secret_env is not None:
        secret = os.environ.get(table.oidc.secret_env, "")
        if not secret:
            raise UsageError(f"console.oidc.secret_env: {table.oidc.secret_env} is not set")
    return Provider(table.oidc, secret=secret, redirect=f"{url}/oidc/callback")


def _invite(link: signin.Link, place: Place, say: Callable[[str], None]) -> None:
    """Print a link; print another whenever the owner presses Enter."""

    def fresh() -> None:
        say(f"open {place.url}/sign-in#{link.fresh()}")

    fresh()
    minutes = int(signin.LASTS / 60)
    if not sys.stdin.isatty():
        say(f"the link works once, for {minutes} minutes")
        return
    say(f"the link works once, for {minutes} minutes; press Enter for another, Ctrl-C to stop")

    def wait() -> None:
        for _ in sys.stdin:
            fresh()

    threading.Thread(target=wait, name="casemate-links", daemon=True).start()
