"""casemate.toml: read strictly, with the nearest known key in every complaint.

The first thing a workflow does. What it returns is settings for the target, the System, the gate's
choices and the waivers; nothing here opens a model or runs code.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from casemate.errors import UsageError
from casemate.gate.waivers import Waiver, read_waivers
from casemate.guard.policy import (
    CaptureTable,
    ClientTable,
    ExportTable,
    GuardTable,
    PrincipalTable,
    RouteTable,
    RuleTable,
)
from casemate.notify.settings import ChannelTable, MuteTable, NotifyTable
from casemate.records.column import Column
from casemate.records.system import Component, Flow, System
from casemate.targets.address import refuse_credentials

NAME = "casemate.toml"
Scalar = float | int | str | bool


class ModelTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[model]`: what is attacked, with which data, within which limits."""

    target: str | None = None
    data: str | None = None
    label: str | None = None
    """Name of the label column, for CSV and Parquet."""
    bounds: tuple[float, float] | None = None
    classes: int | None = None
    threshold: float | None = None
    scores: Literal["logits", "probabilities"] | None = None
    train: str | None = None
    """`file.py:function` taking (x, y) and returning a model; lets poisoning be tried."""


class EndpointTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[endpoint]`: how a remote model is asked, and what asking it may cost."""

    timeout: float = 30.0
    """Seconds one request may take."""
    retries: int = 4
    rate: float | None = None
    """Most requests per second."""
    spend: int | None = None
    """Most inputs sent in all, retries included."""
    batch: int | None = None
    """Most inputs per request."""
    options: dict[str, str] = {}
    """What the protocol understands besides: `template`, `answer`, `output`, `columns` ..."""


class ScanTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[scan]`: which files are artifacts."""

    paths: tuple[str, ...] = ()


class AttackTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[attack]`: how assess attacks."""

    eps: dict[str, float] = {}
    """Radius by norm, in input units: `eps = { linf = 0.1 }`."""
    inputs: int | None = None
    """At most this many inputs are attacked."""
    seed: int = 0
    skip: tuple[str, ...] = ()
    """Catalog ids assess leaves out; the report lists them as not checked."""


class GateTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[gate]`: what stops a release."""

    bar: str = "no-regressions"
    """Catalog id of a bar, or the path of a TOML file of the same shape."""
    against: str | None = None
    """Baseline file written by `casemate gate accept`."""


class RedteamTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[redteam]`: who may allow an exercise against a live endpoint."""

    approvers: tuple[str, ...] = ()
    """Public keys, `ed25519:` and base64, as `casemate redteam --sign` prints them."""


class OidcTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[console.oidc]`: people sign in to the console with an identity provider."""

    issuer: str
    """`https://login.example.com/realms/ops`; discovery is looked up below it."""
    client: str
    """Id of the console as the provider knows it."""
    secret_env: str | None = None
    """Environment variable with the client's secret; None for a public client."""
    claim: str = "groups"
    """Claim of the ID token that says what somebody may do."""
    roles: dict[str, Literal["viewer", "responder", "admin"]] = {}
    """Role by value of that claim; who has none of them is not let in."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")


class ConsoleTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[console]`: who may use the web console, and where it answers."""

    listen: str = "127.0.0.1:0"
    """`host:port`; port 0 takes a free one."""
    url: str | None = None
    """How browsers reach it, where that is not where it listens: `https://console.example`."""
    tokens: str | None = None
    """File with the digests of the tokens that let people in."""
    tls_cert: str | None = None
    tls_key: str | None = None
    behind_tls_proxy: bool = False
    """Whether a proxy of ours ends TLS before it and sets X-Forwarded-For."""
    oidc: OidcTable | None = None


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole casemate.toml."""

    version: Literal[1] = 1
    model: ModelTable = ModelTable()
    endpoint: EndpointTable = EndpointTable()
    scan: ScanTable = ScanTable()
    attack: AttackTable = AttackTable()
    gate: GateTable = GateTable()
    guard: GuardTable = GuardTable()
    notify: NotifyTable = NotifyTable()
    redteam: RedteamTable = RedteamTable()
    console: ConsoleTable = ConsoleTable()
    column: tuple[Column, ...] = ()
    component: tuple[Component, ...] = ()
    flow: tuple[Flow, ...] = ()
    waiver: tuple[dict[str, Any], ...] = ()
    """Read by `casemate.gate.waivers`."""

    @property
    def system(self) -> System | None:
        """The System described, None when there are no components."""
        return System(components=self.component, flows=self.flow) if self.component else None


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, the folder paths in it are relative to, and its digest."""

    config: Config
    root: Path
    waivers: tuple[Waiver, ...] = ()
    digest: str | None = None
    """None when there is no file and the defaults hold."""
    path: Path | None = None
    """The file itself, likewise."""


def find(start: Path) -> Path | None:
    """Return the casemate.toml in `start` or the nearest folder above it."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / NAME).is_file():
            return folder / NAME
        if (folder / ".git").exists():
            break
    return None


def read(path: Path | None = None) -> Loaded:
    """Read a configuration; without a path, the nearest one, or the defaults when there is none.

    Raises:
        UsageError: Missing, not TOML, an unknown key, a value of the wrong type.
    """
    found = path or find(Path.cwd())
    if found is None:
        return Loaded(config=Config(), root=Path.cwd())
    try:
        raw = found.read_bytes()
        body = tomllib.loads(raw.decode("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{found} does not exist", hint="casemate init writes one") from error
    except OSError as error:
        raise UsageError(f"{found} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{found.name} is not TOML: {error}") from error
    if body.get("version", 1) != 1:
        raise UsageError(
            f"{found.name}: version {body['version']} is not known", hint="this casemate reads 1"
        )
    try:
        config = msgspec.convert(body, Config)
    except msgspec.ValidationError as error:
        raise UsageError(f"{found.name}: {_plain(error)}", hint=_nearest(str(error))) from error
    _check(config, found.name)
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    waivers = read_waivers(config.waiver)
    return Loaded(config=config, root=found.parent, waivers=waivers, digest=digest, path=found)


def _check(config: Config, name: str) -> None:
    names = {part.name for part in config.component}
    for flow in config.flow:
        for end in (flow.source, flow.target):
            if end not in names:
                near = difflib.get_close_matches(end, names, 1)
                raise UsageError(
                    f"{name}: a flow names the component '{end}', which is not described",
                    hint=f"did you mean '{near[0]}'?" if near else "add a [[component]]",
                )
    for uri in (config.model.target, *(part.uri for part in config.component)):
        if uri is not None:
            refuse_credentials(uri)
    bounds = config.model.bounds
    if bounds and bounds[0] >= bounds[1]:
        raise UsageError(f"{name}: bounds are not an interval: {list(bounds)}")


def _plain(error: msgspec.ValidationError) -> str:
    text = str(error).replace("Object contains unknown field", "unknown key")
    return re.sub(r" - at `\$\.?([^`]*)`", lambda at: f" in [{at[1]}]" if at[1] else "", text)


def _nearest(message: str) -> str:
    unknown = re.search(r"unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", message)
    if not unknown:
        return "casemate init writes a commented example"
    table = re.sub(r"\[.*?\]", "", unknown[2] or "")
    known = _fields(table)
    near = difflib.get_close_matches(unknown[1], known, 1, 0.4)
    where = f"[{table}] " if table else ""
    return f"did you mean '{near[0]}'?" if near else f"{where}knows: {', '.join(known)}"


def _fields(table: str) -> tuple[str, ...]:
    shapes: dict[str, type[msgspec.Struct]] = {
        "": Config,
        "model": ModelTable,
        "endpoint": EndpointTable,
        "scan": ScanTable,
        "attack": AttackTable,
        "gate": GateTable,
        "guard": GuardTable,
        "guard.principal": PrincipalTable,
        "guard.route": RouteTable,
        "guard.client": ClientTable,
        "guard.rule": RuleTable,
        "guard.capture": CaptureTable,
        "guard.export": ExportTable,
        "notify": NotifyTable,
        "redteam": RedteamTable,
        "console": ConsoleTable,
        "console.oidc": OidcTable,
        "notify.channel": ChannelTable,
        "notify.mute": MuteTable,
        "column": Column,
        "component": Component,
        "flow": Flow,
    }
    return shapes.get(table, Config).__struct_encode_fields__
