"""A night on record: events, captured inputs, a detection, a case; and a console over it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np

from casemate.console import serving
from casemate.guard.keys import Keys
from casemate.records.detection import Detection
from casemate.records.event import Event, Measures
from casemate.records.incident import Guess, Incident, Suspect, Triage
from casemate.records.make import make, new_id
from casemate.records.order import Order, Scope
from casemate.records.severity import Confidence, Severity
from casemate.store.cases import CaseBook
from casemate.store.guards import GuardBook, Standing
from casemate.store.orders import OrderBook
from casemate.store.payloads import Vault
from casemate.store.telemetry.journal import Journal
from casemate.store.workspace import Workspace
from casemate.workflows import config, custody

KEY = "7d0c1f4e92ab56c3d8e1f09b4a6725dc3e8f51b07a94c62d1be8f3057c9a64d2"
WRITER = "w-00000000000000aa"
SECOND = 1_000_000
HOSTILE = (
    "<script>document.title='owned'</script>",
    "<img src=x onerror=document.title='owned'>",
    "\"><svg onload=document.title='owned'>",
    "' autofocus onfocus=document.title='owned' x='",
    "javascript:document.title='owned'",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea><script>document.title='owned'</script>",
    "<a hx-get=/sign-out hx-trigger=load>x</a>",
    "<iframe srcdoc=\"<script>parent.document.title='owned'</script>\">",
    "\u202eevil\u0000\ud800<b>bold</b>",
    "<style>body{display:none}</style>",
    "]]><script>document.title='owned'</script>",
)
"""Names that would like to run."""


class Scene(NamedTuple):
    root: Any
    loaded: Any
    workspace: Workspace
    case: str
    detection: str
    principals: tuple[str, ...]


def digit(label: int, shift: float) -> np.ndarray:
    """Something that looks like a picture of 28 by 28."""
    y, x = np.mgrid[0:28, 0:28]
    ring = np.abs(np.hypot(y - 14, (x - 14) * (1 + label / 10)) - 8 - shift)
    return np.clip(1.5 - ring / 2, 0, 1)


def scene(root, *, suspects=("eve",), title=None, captured=True) -> Scene:
    """Put a night on record under a folder."""
    (root / "casemate.toml").write_text(
        'version = 1\n[guard]\nmode = "enforce"\n[guard.capture]\nkeep = "suspicious"\n'
    )
    loaded = config.read(root / "casemate.toml")
    workspace = Workspace.open(root / ".casemate")
    now = time.time_ns() // 1000
    began = now - 40 * 60 * SECOND
    rng = np.random.default_rng(0)
    vault = Vault(workspace.folder / "payloads", Keys(bytes.fromhex(KEY)).derive("payloads"))
    events: list[Event] = []
    evidence: list[str] = []

    def add(at, principal, **fields):
        number = len(events)
        measures = fields.pop("measures", Measures(label=number % 10, margin=0.8))
        given = {"model": "digits", "route": "/v2/models/digits/infer", "protocol": "oip"}
        given |= {"status": 200, "took": 900, "bytes_in": 7000, "bytes_out": 120}
        events.append(
            Event(
                writer=WRITER, sequence=number, at=at, principal=principal, measures=measures,
                **{**given, **fields},
            )
        )  # fmt: skip
        return f"{WRITER}:{number}"

    times = sorted(int(began + rng.random() * 39 * 60 * SECOND) for _ in range(400))
    for number, at in enumerate(times):
        add(at, f"user-{number % 23}")
    for number in range(120):
        at = began + (10 + number / 8) * 60 * SECOND
        digest = f"{number:032x}" if captured else None
        who = suspects[number % len(suspects)]
        if captured and number % 5 == 0:
            x = digit(number // 40, number / 60) + 0.05 * rng.random((28, 28))
            body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 784],
                                "data": np.round(x, 3).ravel().tolist()}]}  # fmt: skip
            vault.keep(digest, who, "application/json", json.dumps(body).encode(), at=int(at))
        measures = Measures(
            label=7 if number % 3 else 1, label_name=None, margin=0.4 / (1 + number), near=0.9,
            flipped=number % 3 == 0, signs=("query-burst",),
        )  # fmt: skip
        ident = add(int(at), who, measures=measures, payload=digest if number % 5 == 0 else None,
                    kind="refused" if number > 100 else "inference")  # fmt: skip
        if number % 5 == 0:
            evidence.append(ident)
    journal = Journal(workspace.folder / "telemetry", WRITER, window=0)
    journal.append(events)
    journal.close()

    seen = make(
        Detection, id=new_id("det"), rule="boundary-search", conclusion="attack",
        severity=Severity.IMPORTANT, confidence=Confidence.FIRM,
        message="312 queries close in on the border between two labels, halving the step.",
        model="digits", principals=suspects, began=began, ended=now - 5 * 60 * SECOND, made=now,
        queries=120, campaign=new_id("cam"), next_steps=("Ask whose account it is.",),
    )  # fmt: skip
    other = msgspec.structs.replace(
        seen, id=new_id("det"), campaign=new_id("cam"), rule="model-copying", made=now + 1,
        principals=("mallory",), message="9,000 queries spread over the whole input space.",
    )  # fmt: skip
    from casemate.workflows.job import Job

    with Job("detect", loaded, workspace) as job:
        job.add(seen, other)
    book = CaseBook(workspace)
    moment = datetime.now(UTC)

    def begin(ident):
        triage = Triage(
            assessment="attack", confidence=Confidence.FIRM,
            guesses=(
                Guess(threat="adversarial-perturbation", share=0.91, because="steps halve"),
                Guess(threat="model-stealing", share=0.06, because="many queries"),
            ),
            suspects=tuple(
                Suspect(
                    principal=one, queries=120 // len(suspects), began=began, ended=now,
                    confidence=Confidence.FIRM, because=f"their inputs close in on a border: {one}",
                )
                for one in suspects
            ),
            models=("digits",), began=int(began + 10 * 60 * SECOND),
            ended=int(began + 25 * 60 * SECOND), first_event=evidence[0], last_event=evidence[-1],
            queries=120, success=0.42, success_note="flips that held", events=tuple(evidence[:64]),
            reasons=("Steps between near-duplicates halve.", *(f"Named: {s}" for s in suspects)),
            next_steps=("Limit their rate.",), looked_at=len(events),
        )  # fmt: skip
        incident = make(
            Incident, id=ident, title=title or "Search along a decision border of digits",
            severity=Severity.IMPORTANT, opened=moment, opened_by="ana",
            aware=moment - timedelta(minutes=30), sources=(seen.id,), triage=triage,
            playbook="respond-adversarial-perturbation", facts={"personal_data": False},
        )  # fmt: skip
        return incident, custody.action("ana", "opened", "opened from a page", case=ident)

    case = book.open(moment.year, begin)
    book.change(case.id, custody.action("casemate", "frozen", "7 items in 0.4 s"))
    GuardBook(workspace).tell(
        Standing(writer=WRITER, mode="enforce", upstream="http://127.0.0.1:8080", seen=now)
    )
    OrderBook(workspace).add(
        make(
            Order,
            id=new_id("ord"),
            at=moment,
            expires=moment + timedelta(hours=4),
            action="rate",
            scope=Scope(principal=suspects[0]),
            author="rule-1",
            reason="a burst",
            settings={"per_minute": 6.0},
        )
    )
    return Scene(root, loaded, workspace, case.id, other.id, suspects)


class Served(NamedTuple):
    url: str
    link: Any
    desk: Any

    def invitation(self):
        return f"{self.url}/sign-in#{self.link.fresh()}"


@contextmanager
def console(made: Scene, **settings):
    """Serve a console over a scene from this process."""
    table = config.ConsoleTable(**settings)
    place = serving.listen(table)
    built = serving.build(made.loaded, made.workspace, table, place)
    server = serving.server(built, table)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place.sock]}, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    try:
        yield Served(place.url, built.link, built.desk)
    finally:
        server.should_exit = True
        thread.join(20)
        place.sock.close()


class Asking:
    """An HTTP client of a console, without a server: it keeps cookies and follows nothing."""

    def __init__(self, built, url):
        self.built = built
        self.url = url
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=built.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=url)
        self.cookies = self._client.cookies

    def request(self, method, path, **given):
        return self._runner.run(self._client.request(method, path, **given))

    def get(self, path, **given):
        return self.request("GET", path, **given)

    def post(self, path, **given):
        return self.request("POST", path, **given)

    def close(self):
        self._runner.run(self._client.aclose())
        self._runner.close()


@contextmanager
def client(made: Scene, **settings):
    """Return the console as a client that is not signed in."""
    table = config.ConsoleTable(**settings)
    place = serving.listen(table)
    try:
        built = serving.build(made.loaded, made.workspace, table, place)
        # `localhost` here, as cookies of an address are not kept by the client.
        asking = Asking(built, place.url.replace("127.0.0.1", "localhost"))
        yield asking
        asking.close()
    finally:
        place.sock.close()


def enter(asking, key=None):
    """Sign a client in and return the token its forms carry."""
    asking.post("/sign-in", data={"key": key or asking.built.link.fresh()})
    found = re.search(r'name="csrf" value="([^"]+)"', asking.get("/cases").text)
    return found[1]


def copied(template: Scene, root) -> Scene:
    """Return the same night under another folder."""
    shutil.copytree(template.root, root, dirs_exist_ok=True)
    loaded = config.read(root / "casemate.toml")
    return template._replace(root=root, loaded=loaded, workspace=Workspace.open(root / ".casemate"))
