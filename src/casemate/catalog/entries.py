"""The shape of a catalog entry of each kind. An unknown key in a file is an error."""

from __future__ import annotations

from typing import Literal

import msgspec

from casemate.records.severity import Confidence, Severity

Status = Literal["sandbox", "incubating", "stable", "deprecated"]


class Param(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One parameter of an attack or a detection."""

    type: Literal["float", "int", "str", "bool"]
    help: str
    default: float | int | str | bool | None = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every entry says, whatever its kind."""

    id: str
    """Set by the loader from the file's stem; never written in the file."""
    kind: str
    """Set by the loader from the folder."""
    title: str
    why: str
    """What it is and why it matters, for a reader who has just been shown its id."""
    misses: str
    """What it does not see or do. Required: nothing sees everything."""
    status: Status = "stable"
    since: str = "0.1"
    refs: tuple[str, ...] = ()
    """`arxiv:1706.06083`, `atlas:AML.T0043`, `cwe:502`, `ghsa:...`, `cve:...`, `url:...`."""
    entry: str | None = None
    """`package.module:function`; None for an entry that is only data."""
    aliases: tuple[str, ...] = ()


class Attack(Entry, frozen=True, kw_only=True):
    """`attacks/`: a way to attack a model."""

    family: Literal["evasion", "extraction", "poisoning"]
    needs: tuple[Literal["gradients", "scores", "labels", "training"], ...]
    norms: tuple[Literal["linf", "l2", "l1", "l0"], ...] = ()
    minimum_norm: bool = False
    """True when the attack looks for the smallest change instead of using a radius `eps`."""
    modality: tuple[Literal["image", "tabular", "any"], ...] = ("any",)
    knowledge: Literal["white-box", "score-based", "decision-based", "training-data"]
    severity: Severity
    severity_why: str
    finding_at: float = 0.0
    """A Trial amounts to a Finding when the family's figure drops by at least this share; for
    extraction, when the copy's fidelity reaches it."""
    finding_within: float = 0.0
    """Searches for the smallest change: a Trial amounts to a Finding when the median distance is
    at most this share of the input range in the norm (the range times cells to the power 1/p)."""
    mitigations: tuple[str, ...] = ()
    cost: str = ""
    """What a run costs, in evaluations per input, in words."""
    assess: int | None = None
    """Place in the order in which assess tries attacks; None leaves it to `casemate attack`."""
    params: dict[str, Param] = {}


class Rule(Entry, frozen=True, kw_only=True):
    """`rules/`: something a scan can find."""

    severity: Severity
    severity_why: str
    confidence: Confidence
    remedy: str
    how: str
    """How it is found."""
    formats: tuple[str, ...] = ()


class Mitigation(Entry, frozen=True, kw_only=True):
    """`mitigations/`: what to do about a weakness."""

    how: str
    """What to do, concretely."""
    price: str
    """What it costs in accuracy, speed or effort."""


class Format(Entry, frozen=True, kw_only=True):
    """`formats/`: a file format the scanner knows, recognised by content."""

    suffixes: tuple[str, ...] = ()
    magic: tuple[str, ...] = ()
    """Hex of leading bytes, `??` for any byte, `512:89484446` for bytes further on. Any one of
    them is enough, unless `recognise` has the last word."""
    recognise: str | None = None
    """`package.module:function`, a function of a Source that says whether it is of this format.
    Asked when a magic fits, and always when there is none."""
    anywhere: str | None = None
    """A stricter recogniser for bytes that nothing loads by themselves, such as storages."""
    refines: tuple[str, ...] = ()
    """Formats this one is a kind of: when both fit, only this one's reader is used."""
    fallback: bool = False
    """Whether it is asked only when no other format fits."""
    known: dict[str, tuple[str, ...]] = {}
    """Names the reader takes as the format's own, such as operator domains."""
    executes: Literal["yes", "no", "extension"]
    """Whether loading it can run code by design; `extension`: only through a declared extension."""
    limits: dict[str, int] = {}


class TargetKind(Entry, frozen=True, kw_only=True):
    """`targets/`: a kind of thing that can be attacked."""

    schemes: tuple[str, ...]
    extra: str | None = None
    gives: tuple[Literal["gradients", "scores", "labels"], ...] = ()
    unpickles: bool = False
    """Whether opening it can run code from the file, so that it must be vetted first."""
    example: str = ""


class Export(Entry, frozen=True, kw_only=True):
    """`exports/`: a format records can be written in."""

    suffix: str
    media_type: str


class Bar(Entry, frozen=True, kw_only=True):
    """`bars/`: a bug bar, that is which weaknesses stop a release."""

    artifact: Severity | None = None
    """Artifact findings at or above this stop it; None leaves them out."""
    new: Severity | None = None
    """Findings at or above this that the accepted baseline does not have stop it."""
    attack: Severity | None = None
    """Attack findings at or above this stop it, whether new or known."""
    regression: float | None = None
    """A robust measure below the baseline's by more than this, beyond its interval, stops it."""
    robust: dict[str, float] = {}
    """Absolute floors: attack id, lowest robust measure accepted."""


class ThreatKind(Entry, frozen=True, kw_only=True):
    """`threats/`: a row of the published bug bar for machine learning."""

    families: tuple[Literal["evasion", "extraction", "poisoning"], ...] = ()
    """Attack families that try it; empty when casemate has no attack for it."""
    checked_by: Literal["attack", "scan", "nothing"]
    applies_to: tuple[Literal["model", "dataset", "pipeline", "endpoint"], ...]
    needs_assets: tuple[str, ...] = ()
    """It applies only where one of these assets is at stake."""
    needs_untrusted: bool = False
    """It applies only where something crosses a trust boundary on its way to the component."""
    when_silent: bool = True
    """Whether it applies where the description says nothing of the assets or flows it needs."""
    lowest: Severity
    highest: Severity
    raised_by: tuple[str, ...] = ()
    """Assets that raise it from `lowest` to `highest` where untrusted parties can reach it."""
    mitigations: tuple[str, ...] = ()


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of alike events in a case of a Sigma rule."""

    count: int = 1
    every: float = 1.0
    """Seconds between two of them."""
    start: float = 0.0
    """Seconds after the beginning of the case."""
    fields: dict[str, str | int | float | bool] = {}
    """Fields of the log source that differ from those of an ordinary inference."""
    vary: tuple[str, ...] = ()
    """Fields that have another value in each of them."""


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events on which a Sigma rule must fire, or must keep quiet."""

    fires: bool
    why: str
    samples: tuple[Sample, ...]


class Detector(Entry, frozen=True, kw_only=True):
    """`detections/`: something that can be seen in the events, live or in a hunt over the past."""

    conclusion: Literal["attack", "probe", "drift", "misuse", "loss"]
    families: tuple[
        Literal["evasion", "extraction", "membership", "inversion", "poisoning"], ...
    ] = ()
    """Attack families it is meant to see."""
    severity: Severity
    severity_why: str
    confidence: Confidence
    pages: bool = False
    """Whether it may wake somebody up."""
    inline: bool = False
    """Whether it is raised by the inline judges, on the very input (`Measures.signs`)."""
    how: str
    """How it is seen, in words a responder understands."""
    benign: str
    """What else looks like it: the first thing to rule out."""
    next_steps: tuple[str, ...]
    """What a responder does first."""
    body: str | None = None
    """Name of the Sigma file that lies beside it."""
    case: tuple[Case, ...] = ()
    """For a Sigma rule: at least one that fires and one that keeps quiet."""
    mitigations: tuple[str, ...] = ()
    params: dict[str, Param] = {}


class LogFormat(Entry, frozen=True, kw_only=True):
    """`logs/`: a form in which other software keeps past traffic, for `casemate import --as`."""

    suffixes: tuple[str, ...] = ()
    example: str
    """One line of it, or the fields that are read."""


class Playbook(Entry, frozen=True, kw_only=True):
    """`playbooks/`: what to do about one type of incident, step by step; CACAO 2.0 lies beside."""

    threats: tuple[str, ...]
    """Catalog ids in `threats/` it is for; empty for the one used when nothing else fits."""
    assessments: tuple[str, ...] = ("attack",)
    """What the triage says when it is for it: `attack`, `drift`, `outage` ..."""
    tag: str | None = None
    """Machine tag of the MISP taxonomy `failure-mode-in-machine-learning`."""
    rehearsed: Literal["attack", "fixture"]
    """Whether its dry run is on an attack that casemate runs, or on recorded events."""
    attack: str | None = None
    """The attack of that dry run: catalog id in `attacks/`."""
    fixture: tuple[Sample, ...] = ()
    """The recorded events of that dry run, among those of ordinary callers."""
    body: str
    """Name of the CACAO file that lies beside it."""


class Control(Entry, frozen=True, kw_only=True):
    """`controls/`: something an organisation does, by the names of the frameworks that ask it."""

    nist_ai_rmf: tuple[str, ...] = ()
    eu_ai_act: tuple[str, ...] = ()
    iso_42001: tuple[str, ...] = ()
    soc2: tuple[str, ...] = ()
    evidence: str
    """What casemate has to show for it, by verb and record."""


class Deadline(Entry, frozen=True, kw_only=True):
    """`deadlines/`: a clock of the law that an incident may start."""

    law: str
    """Act and article."""
    hours: float | None = None
    """From when the organisation became aware of it; None for `without undue delay`."""
    to: str
    """Who must be told."""
    applies_when: dict[str, bool | str] = {}
    """Facts of the case that must hold for it to run; an unknown one asks for an answer."""
    asks: dict[str, str] = {}
    """The same facts as questions to a person."""
    paper: str | None = None
    """Template of the draft: `serious-incident`, `data-breach`."""


class Advisory(Entry, frozen=True, kw_only=True):
    """`advisories/`: a published weakness of machine-learning software or of a model."""

    threat: str
    affects: tuple[str, ...]
    """Package URLs, or `rule:<id>` for files that a scan rule tells apart."""
    body: str
    """Name of the OSV file that lies beside it."""


KINDS: dict[str, type[Entry]] = {
    "attacks": Attack,
    "rules": Rule,
    "mitigations": Mitigation,
    "formats": Format,
    "targets": TargetKind,
    "exports": Export,
    "bars": Bar,
    "threats": ThreatKind,
    "detections": Detector,
    "logs": LogFormat,
    "playbooks": Playbook,
    "controls": Control,
    "deadlines": Deadline,
    "advisories": Advisory,
}
