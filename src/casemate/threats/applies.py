"""Which attacks of the catalog apply to a System, why, and how severe they are there.

Reads the user's description and the bug bar's rows (the catalog's `threats`); runs nothing. What
the description does not say is taken as the worse case and said so: silence is not safety.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from casemate.catalog.entries import Attack, Format, TargetKind, ThreatKind
from casemate.catalog.loader import entries
from casemate.records.make import make
from casemate.records.system import Component, System
from casemate.records.threat import Threat
from casemate.threats.reach import Reach, reach

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casemate.records.severity import Severity
    from casemate.records.trial import Trial
    from casemate.records.verdict import Verdict

Modality = Literal["image", "tabular"]


def only_model(uri: str, data: str | None = None) -> System:
    """Describe a System of which nothing is known but a model and, perhaps, its data."""
    remote = uri.startswith(("http", "grpc"))
    components = (
        Component(name="model", kind="endpoint" if remote else "model", uri=uri),
        Component(name="data", kind="dataset", uri=data),
    )
    return make(System, components=components)


def threats(
    system: System,
    trials: Sequence[Trial] = (),
    verdicts: Sequence[Verdict] = (),
    *,
    modality: Modality | None = None,
) -> list[Threat]:
    """Return the threats to a System, worst first.

    Args:
        system: The user's description, or `only_model(...)`.
        trials: What was tried already; a finished one covers its attack on its target.
        verdicts: What scan said of files; a complete one covers the supply chain of its file.
        modality: What the inputs are, where known, to leave out attacks on others.
    """
    found = [
        threat
        for component in system.components
        for row in entries("threats", ThreatKind).values()
        if component.kind in row.applies_to
        for threat in _threats_of(component, row, reach(component, system), modality)
    ]
    found = [_cover(threat, system, trials, verdicts) for threat in found]
    return sorted(found, key=lambda t: (t.severity.rank, t.component, t.attack))


def _threats_of(
    component: Component, row: ThreatKind, reached: Reach, modality: Modality | None
) -> Iterator[Threat]:
    because = _grounds(component, row, reached)
    if because is None:
        return
    if row.checked_by != "attack":
        check = "scan the file" if row.checked_by == "scan" else "casemate has no attack for it yet"
        severity, raised = _severity(component, row, reached, row.lowest)
        yield _threat(row.id, component, f"{because}{raised}; {check}", severity, row.mitigations)
        return
    for attack in entries("attacks", Attack).values():
        knows = _knowledge(component, attack)
        if attack.family not in row.families or knows is None or not _fits(attack, modality):
            continue
        severity, raised = _severity(component, row, reached, attack.severity)
        why = f"{because}; {knows}{raised}"
        yield _threat(attack.id, component, why, severity, attack.mitigations or row.mitigations)


def _grounds(component: Component, row: ThreatKind, reached: Reach) -> str | None:
    """Say why the row applies to the component; None when it does not."""
    if row.needs_assets:
        if component.assets:
            at_stake = [asset for asset in component.assets if asset in row.needs_assets]
            return f"{_list(at_stake)} would be lost" if at_stake else None
        return "nothing says what would be lost" if row.when_silent else None
    if row.needs_untrusted:
        if reached.suppliers:
            return f"what it is made of comes from {_list(reached.suppliers)}"
        silent = row.when_silent and not reached.described
        if row.checked_by == "scan" and not _may_run(component):
            silent = False
        return f"nothing says where {component.name} comes from" if silent else None
    if reached.callers:
        return f"{_list(reached.callers)} can send it inputs"
    return "nothing says who may send it inputs"


def _knowledge(component: Component, attack: Attack) -> str | None:
    """Say what lets an attacker use this attack here; None when nothing does."""
    if attack.knowledge == "training-data":
        return "an attacker who can place rows can change what is learned"
    gives = _gives(component.uri)
    if gives is not None and not set(attack.needs) & {"gradients", "scores", "labels"} <= gives:
        return None
    answers = component.answers
    if attack.knowledge == "decision-based":
        return "the answered label is enough"
    if attack.knowledge == "score-based":
        if answers == "labels":
            return None
        return "its answers carry scores" if answers else "nothing says that scores are kept back"
    if answers == "gradients":
        return "its gradients can be asked for"
    if component.kind == "endpoint":
        return None
    if answers is None:
        return "nothing says that the model itself is out of reach"
    return "callers see no gradients, but whoever holds a copy of the model has them"


def _severity(
    component: Component, row: ThreatKind, reached: Reach, start: Severity
) -> tuple[Severity, str]:
    """Keep `start` within the row's range; raise it where more is at stake and anyone can try."""
    severity = start if start.at_least(row.lowest) else row.lowest
    severity = severity if row.highest.rank <= severity.rank else row.highest
    at_stake = [asset for asset in component.assets if asset in row.raised_by]
    if at_stake and reached.anyone and severity is not row.highest:
        return row.highest, f"; raised because {_list(at_stake)} can be reached by anyone"
    return severity, ""


def _gives(uri: str | None) -> frozenset[str] | None:
    """Return what targets of this URI's scheme can give; None for a scheme not in the catalog."""
    scheme = (uri or "").partition(":")[0]
    for kind in entries("targets", TargetKind).values():
        if scheme in kind.schemes:
            return frozenset(kind.gives)
    return None


def _may_run(component: Component) -> bool:
    """Say whether opening the component's file could run code: none is named, or plain data."""
    if component.uri is None or component.kind != "dataset":
        return component.uri is not None
    name = component.uri.lower()
    known = [f for f in entries("formats", Format).values() if name.endswith(f.suffixes)]
    return not known or any(f.executes != "no" for f in known)


def _fits(attack: Attack, modality: Modality | None) -> bool:
    return modality is None or "any" in attack.modality or modality in attack.modality


def _list(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _threat(
    ident: str, component: Component, why: str, severity: Severity, mitigations: tuple[str, ...]
) -> Threat:
    return make(
        Threat,
        attack=ident,
        component=component.name,
        why=f"{why[:1].upper()}{why[1:]}.",
        severity=severity,
        mitigations=mitigations,
    )


def _cover(
    threat: Threat, system: System, trials: Sequence[Trial], verdicts: Sequence[Verdict]
) -> Threat:
    component = next(c for c in system.components if c.name == threat.component)
    only = sum(c.kind in ("model", "pipeline", "endpoint") for c in system.components) == 1
    by_trials = [
        trial.id
        for trial in trials
        if trial.attack == threat.attack
        and trial.state in ("complete", "budget-spent")
        and _same(component, trial, only=only)
    ]
    by_scan = [
        verdict.target.digest or verdict.target.uri
        for verdict in verdicts
        if threat.attack == "ml-supply-chain"
        and verdict.question == "artifact-is-clean"
        and verdict.answer != "cannot-tell"
        and not verdict.measures.get("bytes_refused")
        and _same_file(component.uri, verdict.target.uri)
    ]
    return make(
        Threat,
        **{
            **{name: getattr(threat, name) for name in Threat.__struct_fields__},
            "covered_by": (*by_trials, *by_scan),
        },
    )


def _same(component: Component, trial: Trial, *, only: bool) -> bool:
    """Say whether the trial was on this component, or on the data it stands for."""
    if component.kind == "dataset":
        return component.uri is None or _same_file(component.uri, trial.data.uri)
    return component.uri == trial.target.uri or (component.uri is None and only)


def _same_file(uri: str | None, path: str) -> bool:
    if uri is None:
        return False
    pieces = uri.split(":")
    return any(PurePath(piece) == PurePath(path) for piece in (uri, *pieces, ":".join(pieces[1:])))
