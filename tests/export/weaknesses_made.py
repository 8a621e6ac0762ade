"""Weaknesses, cases and answers for the exporters of vulnerabilities, hostile ones among them."""

from datetime import UTC, datetime

from casemate.records.incident import Guess, Incident, Suspect, Triage
from casemate.records.make import make
from casemate.records.vulnerability import Affected, Applies, Facts, Vulnerability
from casemate.vuln.scoring import scores

NOW = datetime(2026, 11, 1, 12, 30, 15, 250_000, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
HOSTILE = "<script>alert(1)</script> \u202e\x1b[2J ' \\ \ud800"
FACTS = Facts(
    success=0.92, queries=300, access="network", knowledge="labels", authenticated=True,
    interaction=False, assets=("security",), hurt=("safety",), exploited="active",
)  # fmt: skip


def weakness(**more):
    given = {
        "id": "cmv-2026-0001",
        "title": "a search flips the answers of fraud",
        "threat": "adversarial-perturbation",
        "state": "confirmed",
        "summary": "Half of the inputs are misclassified.",
        "opened": NOW,
        "changed": NOW,
        "reporter": "ada",
        "facts": FACTS,
        "scores": scores("adversarial-perturbation", FACTS),
        "affected": (Affected(name="fraud", versions=("3",), digests=(DIGEST,)),),
        "proof": ("trial-1",),
        "refs": ("cve:CVE-2026-99999", "atlas:AML.T0043", "cwe:1039", "url:https://example.com/a"),
        "notes": (
            "2026-11-01 12:30 ada: reported from trial-1",
            "2026-11-02 09:00 bob: reported -> confirmed: reproduced",
        ),
        "remedy": "Harden the model.",
    }
    return make(Vulnerability, **{**given, **more})


def package(**more):
    thing = Affected(name="torch", purl="pkg:pypi/torch", introduced="2.0.0", fixed="2.6.0")
    return weakness(threat="ml-supply-chain", affected=(thing,), **more)


def bare():
    return make(
        Vulnerability, id="cmv-2026-0002", title="x", threat="data-poisoning", opened=NOW,
        changed=NOW, affected=(Affected(name="m"),),
    )  # fmt: skip


def hostile():
    return weakness(
        title=HOSTILE, summary=HOSTILE * 400, reporter=HOSTILE, remedy=HOSTILE,
        affected=(Affected(name=HOSTILE), Affected(name="", purl="junk", digests=(DIGEST, "x"))),
        notes=(HOSTILE,), refs=("cve:none", "url:https://x y", HOSTILE),
    )  # fmt: skip


WEAKNESSES = {
    "full": weakness,
    "package": package,
    "bare": bare,
    "hostile": hostile,
    "fixed": lambda: weakness(state="fixed"),
    "rejected": lambda: weakness(state="rejected"),
    "reported": lambda: weakness(state="reported"),
}


def incident(**more):
    given = {
        "id": "case-2026-0001",
        "title": "a search on fraud",
        "severity": "important",
        "threat": "adversarial-perturbation",
        "opened": NOW,
        "opened_by": "ada",
        "aware": NOW,
        "owner": "bob",
        "version": 4,
        "vulnerabilities": ("cmv-2026-0001",),
        "triage": Triage(
            assessment="attack",
            confidence="firm",
            guesses=(Guess(threat="adversarial-perturbation", share=0.9, because="a search"),),
            suspects=(
                Suspect(principal="eve", queries=900, began=1_795_230_725_123_456,
                        ended=1_795_230_825_123_456, confidence="certain", because="all hers"),
                Suspect(principal="o'\\brien' OR 1=1", queries=3, began=1_795_230_725_123_456,
                        ended=1_795_230_725_123_456, confidence="tentative", because="near"),
            ),
            models=("fraud",),
            began=1_795_230_725_123_456,
            ended=1_795_230_825_123_456,
            events=("w-0:1", "w-0:2"),
            queries=903,
            success=0.4,
            reasons=("Inputs come closer and closer to the boundary.",),
        ),
    }  # fmt: skip
    return make(Incident, **{**given, **more})


def answer(status, name="torch", version="2.5.1", **more):
    justified = "component_not_present" if status == "not-affected" else None
    given = {
        "vulnerability": "GHSA-53q9-r3pm-6pq6",
        "title": "torch.load runs code",
        "aliases": ("CVE-2025-32434",),
        "product": Affected(name=name, versions=(version,), purl=f"pkg:pypi/{name}@{version}",
                            status=status, justification=justified),
        "because": f"{name} {version} is {status}",
        "action": "upgrade" if status == "affected" else "",
        "refs": ("ghsa:GHSA-53q9-r3pm-6pq6",),
    }  # fmt: skip
    return make(Applies, **{**given, **more})
