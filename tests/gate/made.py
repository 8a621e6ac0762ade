"""What the gate is given: findings, trials and verdicts with the few particulars a test sets."""

from casemate.records.finding import Finding
from casemate.records.fingerprint import fingerprint
from casemate.records.make import make
from casemate.records.target import Target
from casemate.records.trial import Cost, Measure, Outcome, Trial
from casemate.records.verdict import Verdict

FILE = Target(kind="artifact", uri="model.pkl", digest="sha256:" + "a" * 64)
MODEL = Target(kind="model", uri="torch:net.py:load")
DATA = Target(kind="dataset", uri="test.npz", digest="sha256:" + "d" * 64)


def finding(severity="critical", subject="os.system", target=FILE, trial=None, rule="pickle-runs"):
    return make(
        Finding,
        rule=rule,
        target=target,
        severity=severity,
        confidence="certain",
        message=f"calls {subject}",
        remedy="do not load it",
        fingerprint=fingerprint(rule, target.uri, None, subject),
        subject=subject,
        trial=trial,
    )


def trial(
    held,
    *,
    attack="evasion-pgd",
    eps=0.1,
    params=None,
    state="complete",
    data=DATA,
    rows=None,
    outcomes=True,
    name="accuracy",
    labels=None,
    budget=None,
    target=MODEL,
    measures=(),
    **more,
):
    """A trial in which row i is still right under attack where held[i] says so."""
    held = list(held)
    rows = list(range(len(held))) if rows is None else rows
    labels = [1] * len(held) if labels is None else labels
    stands = [h is not False for h in held]  # None: the attack did not finish this input
    counted = [h for h, label in zip(stands, labels, strict=True) if name == "accuracy" or label]
    value = sum(counted) / len(counted) if counted else None
    n = len(counted)
    return make(
        Trial,
        id=f"trial-{attack}-{eps}-{value}-{n}",
        attack=attack,
        family="evasion",
        target=target,
        data=data,
        params={"steps": 40} if params is None else params,
        seed=0,
        budget=budget,
        norm="linf",
        eps=eps,
        inputs=len(held),
        clean=Measure(name=name, value=1.0, n=n),
        robust=more.pop("robust", Measure(name=name, value=value, low=0.0, high=1.0, n=n)),
        cost=Cost(),
        outcomes=tuple(
            Outcome(index=row, label=label, clean=True, success=None if h is None else not h)
            for row, h, label in zip(rows, held, labels, strict=True)
        )
        if outcomes
        else (),
        measures=measures,
        state=state,
    )


def verdict(answer="yes", *, uri="model.pkl", digest=None, reasons=(), **measures):
    return make(
        Verdict,
        question="artifact-is-clean",
        answer=answer,
        target=Target(kind="artifact", uri=uri, digest=digest),
        reasons=reasons,
        measures=measures,
    )
