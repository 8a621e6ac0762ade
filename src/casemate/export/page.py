"""`--format html`: one self-contained page for a manager and an engineer.

No script, no request, no font or picture from elsewhere; a content security policy says so to the
browser too. Everything taken from records is escaped: names and strings come from hostile files.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from casemate import __version__
from casemate.errors import CasemateError
from casemate.export import advice, coverage, wording
from casemate.export.curves import quantile, queries_spent
from casemate.export.examples import Picture, Row, examples
from casemate.export.figures import distance_charts, query_chart, trial_charts
from casemate.export.report import (
    Bundle,
    by_file,
    file_verdicts,
    gate_verdict,
    open_findings,
)
from casemate.export.sightings import HEAD, sightings
from casemate.export.weaknesses import files_of, title_of, ways, weaknesses_of

if TYPE_CHECKING:
    from casemate.export.charts import Chart
    from casemate.records.trial import Trial

_TEMPLATES = Path(__file__).parent / "templates"
MAX_FINDINGS = 200
MAX_FILES = 500
MAX_GROUPS = 4
"""Groups of examples of one model: the worst attack of each norm."""


class Card(NamedTuple):
    """A figure of the first screen."""

    name: str
    value: str
    note: str
    tone: str = ""


class Group(NamedTuple):
    """The worst examples of one attack."""

    trial: Trial
    pictures: list[Picture]
    rows: list[Row]
    problem: str


class ModelPart(NamedTuple):
    """One model attacked on one data set."""

    ident: str
    target: str
    data: str
    measure: str
    trials: list[Trial]
    curves: list[Chart]
    queries: Chart | None
    groups: list[Group]


def write(bundle: Bundle) -> bytes:
    """Return the page."""
    import jinja2
    from markupsafe import Markup

    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    text = found.get_template("report.html").render(
        **_context(bundle),
        style=Markup(style),  # noqa: S704 - our own file
        style_digest=digest,
        words=wording,
        casemate=__version__,
    )
    return text.encode("utf-8", "backslashreplace")


def _finalize(value: object) -> object:
    # Markup is what our own macros made, already escaped; only plain text is cleaned here.
    return wording.clean(value) if type(value) is str else value


def _context(bundle: Bundle) -> dict[str, Any]:
    models = [
        _model(f"m{i}", bundle, trials)
        for i, trials in enumerate(advice.by_target(bundle.trials).values())
        if any(one.family == "evasion" for one in trials)
    ]
    found = open_findings(bundle)
    shown = found[:MAX_FINDINGS]
    scanned = {one.target.uri for one in file_verdicts(bundle)}
    of_model = [one for one in shown if one.trial is not None or one.target.uri not in scanned]
    of_files = by_file(one for one in shown if one.trial is None)
    weaknesses = weaknesses_of(bundle, of_model)
    return {
        "bundle": bundle,
        "run": bundle.run,
        "head": advice.headline(bundle),
        "gate": gate_verdict(bundle),
        "exit": coverage.exit_of(bundle),
        "steps": advice.first_steps(bundle),
        "cards": _cards(bundle),
        "models": models,
        "other": [(one, trial_charts(one)) for one in bundle.trials if one.family != "evasion"],
        "sightings": sightings(bundle.trials),
        "sighting_head": HEAD,
        "weaknesses": weaknesses,
        "ways": ways(weaknesses),
        "files": files_of(bundle, of_files),
        "file_count": len(file_verdicts(bundle)),
        "max_files": MAX_FILES,
        "left_out": len(found) - len(shown),
        "waived": [one for one in bundle.findings if one.fingerprint in bundle.waived],
        "gaps": coverage.gaps(bundle),
        "title_of": title_of,
        "spent": spent,
        "prose": _prose,
        "label_of": lambda label: _label(bundle, label),
        "shorten": wording.shorten,
    }


def _label(bundle: Bundle, label: int | None) -> str:
    if label is None:
        return "another class"
    return bundle.classes[label] if 0 <= label < len(bundle.classes) else f"class {label}"


def _prose(text: str) -> Any:
    """Return catalog prose as HTML: escaped, with `code` marked as such."""
    from markupsafe import Markup, escape

    safe = str(escape(wording.clean(text.strip())))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))  # noqa: S704 - escaped above


def _model(ident: str, bundle: Bundle, trials: list[Trial]) -> ModelPart:
    evasion = [one for one in trials if one.family == "evasion"]
    first = evasion[0]
    return ModelPart(
        ident=ident,
        target=first.target.uri,
        data=first.data.uri,
        measure=wording.MEASURES.get(first.clean.name, first.clean.name),
        trials=sorted(evasion, key=lambda one: _rank(one, evasion)),
        curves=distance_charts(ident, evasion),
        queries=query_chart(f"{ident}-queries", evasion),
        groups=_groups(bundle, evasion),
    )


def _rank(trial: Trial, trials: list[Trial]) -> tuple[int, float]:
    """Keep norms together, the most harmful attack of each first."""
    norms = list(dict.fromkeys(one.norm for one in trials))
    searching = trial.eps is None or trial.robust is None
    left = None if searching or trial.robust is None else trial.robust.value
    return norms.index(trial.norm), 2.0 if left is None else left


def _groups(bundle: Bundle, trials: list[Trial]) -> list[Group]:
    groups = []
    for norm in dict.fromkeys(one.norm for one in trials):
        kept = [one for one in trials if one.norm == norm and one.adversarial]
        # An attack that looks for the smallest change shows the model's weakness most plainly.
        kept.sort(
            key=lambda one: (one.eps is not None, -sum(bool(o.success) for o in one.outcomes))
        )
        if not kept:
            continue
        pictures: list[Picture] = []
        rows: list[Row] = []
        problem = ""
        try:
            for one in examples(kept[0], bundle.blob, columns=bundle.columns):
                if isinstance(one, Picture):
                    pictures.append(one)
                else:
                    rows.append(one)
        except CasemateError as error:
            problem = f"{error}. {error.hint}".strip()
        if pictures or rows or problem:
            groups.append(Group(kept[0], pictures, rows, problem))
    return groups[:MAX_GROUPS]


def _cards(bundle: Bundle) -> list[Card]:
    cards = []
    evasion = [one for one in bundle.trials if one.family == "evasion"]
    worst = advice.worst_trial(evasion)
    first = worst or (evasion[0] if evasion else None)
    if first is not None:
        measure = wording.MEASURES.get(first.clean.name, first.clean.name)
        measure = "recall" if measure.startswith("recall") else measure
        tone = "stop" if advice.below_chance(first) else ""
        value = wording.percent(first.clean.value)
        cards.append(Card(f"{measure}, no attack", value, wording.interval(first.clean), tone))
        if worst is not None and worst.robust is not None:
            norm = wording.NORMS.get(worst.norm or "", "")
            note = f"{worst.attack}, {norm} {wording.number(worst.eps)}"
            value = wording.percent(worst.robust.value)
            cards.append(Card(f"{measure}, worst attack", value, note, "stop"))
    spent = [queries for trial in evasion for queries in queries_spent(trial)]
    median = quantile(spent, 0.5)
    if median is not None:
        note = "median, seeing the model's answers alone"
        cards.append(Card("queries to fool it once", wording.number(median), note))
    for trial in bundle.trials:
        for one in trial.measures if trial.family == "extraction" else ():
            if one.name == "fidelity" and one.value is not None:
                note = f"agreement of a copy made with {wording.number(trial.cost.queries)} queries"
                cards.append(Card("copied by queries", wording.percent(one.value), note))
    files = file_verdicts(bundle)
    if files:
        bad = sum(one.answer == "no" for one in files)
        note = f"of {wording.count(len(files), 'file')} scanned"
        cards.append(Card("files with findings", f"{bad:,}", note, "stop" if bad else ""))
    open_points = coverage.gaps(bundle)
    if open_points:
        blocked = sum(gap.blocks for gap in open_points)
        note = f"{blocked} of them asked for and not answered" if blocked else "listed below"
        cards.append(Card("not checked", f"{len(open_points)}", note, "unsure" if blocked else ""))
    return cards


class Spent(NamedTuple):
    """What an attack took, per input."""

    fooled: str
    distance: str
    queries: str
    evaluations: str


def spent(trial: Trial) -> Spent:
    """Return the cells of an attack's row: share fooled, median distance, cost."""
    right = [one for one in trial.outcomes if one.clean]
    fooled = [one for one in right if one.success]
    n = max(1, trial.inputs)
    distance = quantile((one.distance for one in fooled if one.distance is not None), 0.5)
    queries = quantile((float(one.queries) for one in fooled if one.queries), 0.5)
    return Spent(
        fooled=f"{len(fooled):,} of {len(right):,}" if right else "–",
        distance=wording.number(distance),
        queries=wording.number(queries) if trial.cost.backward == 0 else "white-box",
        evaluations=wording.number(round((trial.cost.forward + trial.cost.backward) / n, 1)),
    )
