"""Cases written by hand, beside events written by hand: fast, and every figure is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate.records.event import Event, Measures
from casemate.records.incident import Incident, Suspect, Triage
from casemate.records.make import make
from casemate.records.order import Order, Scope
from casemate.records.run import Run
from casemate.records.severity import Confidence
from casemate.store.cases import CaseBook
from casemate.store.orders import OrderBook
from casemate.store.telemetry.opening import new_writer, open_sink
from casemate.store.workspace import Workspace
from casemate.workflows import checks, custody
from casemate.workflows.config import read

if TYPE_CHECKING:
    from pathlib import Path

    from casemate.case.playbook import Result

NOW = datetime.now(UTC).replace(microsecond=0)
SECOND = 1_000_000
T = custody.micros(NOW)
CONFIG = 'version = 1\n[guard]\nmode = "enforce"\nprincipal = { header = "x-user" }\n'


class File(NamedTuple):
    """A workspace with one case in it."""

    root: Path
    workspace: Workspace
    case: str

    @property
    def loaded(self) -> Any:
        return read(self.root / "casemate.toml")

    def check(self, name: str, now: datetime | None = None, **arguments: str) -> Result:
        """Make a check at a moment, an hour after NOW unless another is given."""
        from casemate.workflows.playbooks import CHECKS

        at = now or NOW + timedelta(hours=1)
        return CHECKS[name](checks.scene(self.loaded, self.workspace, self.case, now=at), arguments)

    def log(self, kind: str, text: str = "", at: datetime = NOW, **given: Any) -> None:
        """Put an action on the log at a time."""
        import msgspec

        change = given.pop("change", lambda one: one)
        line = msgspec.structs.replace(custody.action("ana", kind, text or kind, **given), at=at)
        CaseBook(self.workspace).change(self.case, line, change)

    def replace(self, **given: Any) -> None:
        """Change the case, beside an entry on its log."""
        import msgspec

        self.log("noted", change=lambda one: msgspec.structs.replace(one, **given))

    def events(self, *made: dict[str, Any]) -> None:
        """Put events on record, as one writer."""
        sink = open_sink(self.workspace.folder / "telemetry", new_writer())
        rows = []
        for number, one in enumerate(sorted(made, key=lambda one: one["at"])):
            measures = {k: v for k, v in one.items() if k in Measures.__struct_fields__}
            rest = {k: v for k, v in one.items() if k not in measures}
            body = {"model": "digits", "version": "1", "status": 200, "took": 1000, **rest}
            rows.append(
                make(
                    Event, writer=sink.writer, sequence=number, request=str(number),
                    measures=measures, **body,
                )
            )  # fmt: skip
        sink.append(rows)
        sink.close()

    def contain(self, action: str = "rate", hours: float = 4, at: datetime = NOW) -> Order:
        """Give an order for mallory and put it on the log."""
        import msgspec

        order = make(
            Order, id=f"ord-{len(CaseBook(self.workspace).log(self.case).actions):026d}", at=at,
            expires=at + timedelta(hours=hours), action=action, scope=Scope(principal="mallory"),
            author="ana", reason="search",
        )  # fmt: skip
        OrderBook(self.workspace).add(order)
        self.log(
            "contained", f"{action} for mallory", at, records=(order.id,),
            change=lambda one: msgspec.structs.replace(one, orders=(*one.orders, order.id)),
        )  # fmt: skip
        return order

    def run(
        self, verb: str, *records: Any, started: datetime = NOW, state: str = "complete"
    ) -> str:
        """Keep a run with its records."""
        ident = f"run-{len(self.workspace.runs()):026d}"
        run = make(
            Run, id=ident, verb=verb, started=started, config_digest=None,
            catalog_digest="sha256:" + "0" * 64, versions={}, seed=0,
        )  # fmt: skip
        self.workspace.begin(run)
        self.workspace.add(ident, *records)
        self.workspace.end(ident, state)
        return ident


def triaged(**given: Any) -> Triage:
    """Return a triage that suspects mallory of ten minutes until NOW."""
    body = {
        "assessment": "attack", "confidence": Confidence.FIRM, "models": ("digits",),
        "suspects": (
            Suspect(
                principal="mallory", queries=40, began=T - 600 * SECOND, ended=T,
                confidence=Confidence.FIRM, because="near-duplicates",
            ),
        ),
        "guesses": (
            {"threat": "adversarial-perturbation", "share": 0.9, "because": "flips"},
        ),
        "began": T - 600 * SECOND, "ended": T, "queries": 40,
    }  # fmt: skip
    return make(Triage, **{**body, **given})


def opened(root: Path, **given: Any) -> File:
    """Open a workspace with a case that was opened at NOW."""
    (root / "casemate.toml").write_text(CONFIG)
    workspace = Workspace.open(root / ".casemate")
    body: dict[str, Any] = {
        "title": "search", "severity": "important", "opened": NOW, "opened_by": "ana",
        "aware": NOW, "owner": "ana", "threat": "adversarial-perturbation", "triage": triaged(),
    }  # fmt: skip
    body |= given

    def begin(ident: str) -> Any:
        case = make(Incident, id=ident, **body)
        return case, custody.action("ana", "opened", "opened", case=ident)

    case = CaseBook(workspace).open(NOW.year, begin)
    return File(root, workspace, case.id)


def asked(n: int, who: str, begin: int, every: float = 10.0, **fields: Any) -> list[dict[str, Any]]:
    """Return `n` events of a principal from `begin` seconds after NOW."""
    return [
        {
            "at": T + int((begin + number * every) * SECOND), "principal": who, "label": 1,
            "input_digest": f"{begin}-{number}", **fields,
        }
        for number in range(n)
    ]  # fmt: skip
