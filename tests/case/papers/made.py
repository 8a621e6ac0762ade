"""A case with something to tell, and hostile names in it."""

from datetime import timedelta

from casemate.case.clocks import clocks
from casemate.case.papers.telling import Told
from casemate.case.playbook import load
from casemate.catalog.entries import Deadline, Playbook
from casemate.catalog.loader import entries, entry
from casemate.records.incident import Action, Guess, Suspect, Triage
from casemate.records.make import make
from casemate.records.order import Order, Scope
from casemate.records.severity import Confidence
from tests.case.made import AWARE, incident

MICROS = int(AWARE.timestamp()) * 1_000_000
EVIL = "<script>alert(1)</script>|[x](javascript:1)\n# mallory\u202e"


def triage(**given):
    body = {
        "assessment": "attack", "confidence": Confidence.FIRM, "models": ("digits",),
        "guesses": (Guess(threat="adversarial-perturbation", share=0.9, because=f"{EVIL} flips"),),
        "suspects": (
            Suspect(
                principal=EVIL, queries=812, began=MICROS - 7_000_000, ended=MICROS,
                confidence=Confidence.FIRM, because="near-duplicates",
            ),
        ),
        "began": MICROS - 7_000_000, "ended": MICROS, "queries": 812, "success": 0.25,
        "success_note": "labels turned", "reasons": ("300 near-duplicates of one input",),
    }  # fmt: skip
    return make(Triage, **{**body, **given})


def order():
    return make(
        Order, id="ord-00000000000000000000000001", at=AWARE, expires=AWARE + timedelta(hours=4),
        action="rate", scope=Scope(principal=EVIL), author="ada", reason="search",
    )  # fmt: skip


def action(number, kind, text, **given):
    body = {"case": "case-2026-0001", "at": AWARE + timedelta(minutes=number), "author": "ada"}
    return make(Action, number=number, kind=kind, text=text, **{**body, **given})


def told(now=AWARE + timedelta(hours=1), **given):
    """Return a case as papers are given it; `given` are fields of the incident."""
    case = incident(
        **{"threat": "adversarial-perturbation", "triage": triage(), "title": EVIL, **given}
    )
    actions = (
        action(0, "opened", "opened"),
        action(1, "frozen", "12 items"),
        action(2, "contained", f"throttle {EVIL}", records=(order().id,)),
        action(3, "scoped", f"3 models, 40 decisions on {EVIL}"),
    )
    deadlines = entries("deadlines", Deadline)
    asks = {name: text for one in deadlines.values() for name, text in one.asks.items()}
    plan = load(entry("playbooks", "respond-adversarial-perturbation", Playbook))
    return Told(
        incident=case, actions=actions, clocks=tuple(clocks(case, deadlines, now)), items=(),
        orders=((order(), "in force"),), plan=plan, vulnerabilities=(),
        titles={"adversarial-perturbation": "Adversarial perturbation"}, asks=asks,
        next_steps=("casemate case show case-2026-0001",), now=now, by="ada",
    )  # fmt: skip
