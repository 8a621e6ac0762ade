"""`[guard]` of casemate.toml: the shapes of what its owner may say.

Read by the workflows, obeyed by the guard. Nothing here decides anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Protocol = Literal["auto", "oip", "tfserving", "mlflow", "sagemaker", "json", "chat", "opaque"]
RuleAction = Literal[
    "log", "rate", "information", "coarsen", "contract", "delay", "review", "step-up", "block",
    "route", "cluster-answer", "decoy",
]  # fmt: skip


class PrincipalTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`principal = { ... }`: who asks. Header, then claim, then field."""

    header: str | None = None
    claim: str | None = None
    """Claim of the bearer token. Not verified unless `jwks` or `secret_env` says how."""
    secret_env: str | None = None
    """Environment variable that holds the HMAC secret the token must be signed with."""
    jwks: str | None = None
    """File with the public keys the token must be signed with."""
    field: str | None = None
    """Member of a JSON body: `user`, `parameters.user`."""
    session: str | None = None
    """Header that names the session."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose principal header and X-Forwarded-For are believed; others' are not."""


class RouteTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[guard.route]]`: one kind of request, the first that matches counts."""

    match: str
    """Path with `*` for one segment and `**` for any: `/v2/models/*/infer`."""
    name: str = ""
    protocol: Protocol = "auto"
    model: str | None = None
    """Name of the model, where the path does not say it."""
    version: str | None = None
    component: str | None = None
    """Component of the System behind it."""
    template: str | None = None
    """`protocol = "json"`: file with the body's form; see the target `http-json`."""
    answer: str | None = None
    """`protocol = "json"`: path of the predictions in the answer, `result.scores`."""
    output: str | None = None
    """Name of the output tensor that holds the scores, where there are several."""
    fail: Literal["open", "closed"] = "open"
    """When enforcing: what becomes of a request that breaks the contract or cannot be read."""
    approver: str | None = None
    """Person who allowed answers that are not the model's own on this route; None forbids them."""
    trained: str | None = None
    """Day or time of the model's last training event, ISO 8601."""
    newest_row: str | None = None
    """Day or time of its newest training row, ISO 8601."""


class ClientTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[guard.client]]`: a client declared to be what it looks like."""

    name: str
    principals: tuple[str, ...]
    purpose: Literal["explainability", "monitoring", "load-test", "batch", "red-team"]
    per_hour: int
    """Inputs it may send in an hour as such; beyond them it is judged like everybody."""
    reason: str
    expires: str | None = None
    """Day after which the declaration no longer holds, ISO 8601."""


class RuleTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[guard.rule]]`: what is done, to whom and for how long, when something is detected."""

    when: str
    """Catalog id of a detection, or `always`."""
    action: RuleAction
    for_: str = msgspec.field(default="1h", name="for")
    scope: Literal["principal", "session", "cluster", "model", "route", "everybody"] = "principal"
    settings: dict[str, str | int | float | bool] = {}
    approver: str | None = None


class CaptureTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[guard.capture]`: keep payloads, encrypted. Off unless `keep` says what."""

    keep: Literal["nothing", "suspicious", "all"] = "nothing"
    redact: tuple[str, ...] = ()
    """Columns or JSON members that are never kept."""
    days: int = 30
    """Days after which a payload is destroyed."""


class ExportTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[guard.export]]`: where events go besides the record, and in which form."""

    kind: Literal["ocsf", "cloudevents", "flat", "otel"]
    """`flat`: the fields that our Sigma rules speak of. `otel`: spans, as OTLP in JSON."""
    to: str
    """A file, `file:///var/log/casemate/events.jsonl`; `tcp://host:port`; for `otel` a file or the
    collector's `http(s)://host:4318`."""
    token_env: str | None = None
    """Environment variable with the bearer token a collector asks for."""


class GuardTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[guard]`: how the guard stands between callers and a model server."""

    mode: Literal["observe", "enforce"] = "observe"
    upstream: str | None = None
    last_good: str | None = None
    """Where the last good version of the model answers; `case contain --action last-good` sends
    requests there."""
    listen: str = "127.0.0.1:9090"
    admin: str | None = "127.0.0.1:9091"
    """Health, metrics and orders, on a port of its own behind a token; None for none."""
    principal: PrincipalTable = PrincipalTable()
    route: tuple[RouteTable, ...] = ()
    client: tuple[ClientTable, ...] = ()
    rule: tuple[RuleTable, ...] = ()
    capture: CaptureTable = CaptureTable()
    export: tuple[ExportTable, ...] = ()
    contract: str | None = None
    """File with the learned input contract; `casemate guard --learn-contract FILE` writes one."""
    max_body: int = 64 * 1024 * 1024
    """Largest request body in bytes, after decompression too."""
    max_header_bytes: int = 32 * 1024
    timeout: float = 60.0
    """Seconds the upstream may take."""
    client_timeout: float = 20.0
    """Seconds a caller may take to send its request."""
    tls_cert: str | None = None
    tls_key: str | None = None
    upstream_ca: str | None = None
    stream: str | None = None
    """Where events meet and orders come from besides the workspace: `nats://`, `kafka://`."""
    telemetry: str | None = None
    """Folder or `clickhouse://` of the events; by default `.casemate/telemetry`."""
    keep_days: int | None = None
    """Days after which sealed events are deleted, which the log then says; None keeps them."""
    witness: str | None = None
    """Second place for signed checkpoints: a folder on another machine or volume."""
