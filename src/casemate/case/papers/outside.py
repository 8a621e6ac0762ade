"""Drafts for readers outside: an authority under the AI Act or the GDPR, and users of the model.

They count people and callers and name none. They are drafts: a lawyer and a person with a name send
them, not casemate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from casemate.case.papers.parts import Field, Paper, Section, Table
from casemate.case.papers.telling import containments, deadlines, findings, when

if TYPE_CHECKING:
    from casemate.case.papers.parts import Value
    from casemate.case.papers.telling import Told

_BREACHES = {
    "membership-inference": "Somebody found out whether people's records were used in training.",
    "model-inversion": "Features of people in the training data were rebuilt from answers.",
    "model-stealing": "A copy of the model was made; it can be asked about its training data.",
    "provider-recovers-data": "A provider kept or recovered training data it was trusted with.",
    "data-poisoning": "Training data about people were altered.",
}
"""What a breach of personal data by this type of attack is, in words for an authority."""


def serious_incident(told: Told) -> Paper:
    """Return a draft report under Article 73 of the AI Act.

    Source: Regulation (EU) 2024/1689, Articles 3(49) and 73.
    """
    case, triage = told.incident, told.incident.triage
    return Paper(
        "serious-incident",
        "Report of a serious incident (draft)",
        case.id,
        f"Drafted {when(told.now)} by {told.by}",
        "Draft under Article 73 of Regulation (EU) 2024/1689, for the market surveillance "
        "authority of the Member State where it happened. An incomplete first report is allowed "
        "(Article 73(5)).",
        (
            Section(
                "Report",
                fields=(
                    told.field("First, follow-up or final", "report_stage", "Which report is it?"),
                    told.field("Provider", "provider", "Name and address of the provider?"),
                    told.field("Contact", "contact", "Who can be asked, and how?"),
                    told.field("Authority", "authority", "Which authority, which Member State?"),
                ),
            ),
            Section(
                "System",
                fields=(
                    told.field("AI system", "system_name", "Name and version as registered?"),
                    Field("Models, as the record names them", told.model),
                    told.field("Intended purpose", "purpose", "What is it used for?"),
                    told.field(
                        "EU database", "eu_registration", "Registration number, if it has one?"
                    ),
                ),
            ),
            Section(
                "Incident",
                text=findings(told, names=False),
                fields=(
                    Field("Began", when(triage.began) if triage else "not known"),
                    Field("Ended", when(triage.ended) if triage else "not known"),
                    Field("Provider became aware", when(case.aware)),
                    told.field("Where", "member_state", "In which Member States?"),
                    Field("Callers involved", _callers(told)),
                ),
            ),
            Section(
                "Which serious incident it is (Article 3(49))",
                fields=(
                    _asked(told, "death", "(a) Death"),
                    _asked(told, "serious_harm", "(a), (c), (d) Serious harm"),
                    _asked(told, "critical_infrastructure", "(b) Critical infrastructure"),
                    _asked(told, "widespread_infringement", "Widespread infringement"),
                    told.field("People affected", "people_affected", "How many people?"),
                    told.field("Harm", "harm", "What harm was done, to whom?"),
                ),
            ),
            Section(
                "Causal link",
                text=(
                    told.fact(
                        "causal_link",
                        "Is the system an established, likely or suspected cause, and why?",
                    ),
                ),
            ),
            Section(
                "Measures taken",
                table=containments(told, names=False),
                text=(told.fact("corrective_action", "What else is done or planned, until when?"),),
            ),
            Section("Evidence", text=(_evidence(told), _unaltered(told))),
            Section("Other duties", table=deadlines(told)),
        ),
    )


def data_breach(told: Told) -> Paper:
    """Return a draft notice of a personal data breach.

    Source: Regulation (EU) 2016/679, Articles 33(3) and 34(2).
    """
    case = told.incident
    late = (told.now - case.aware).total_seconds() > 72 * 3600
    delay = (
        (told.fact("delay_reason", "More than 72 hours have passed: why is it late?"),)
        if late
        else ()
    )
    return Paper(
        "data-breach",
        "Notice of a personal data breach (draft)",
        case.id,
        f"Drafted {when(told.now)} by {told.by}",
        "Draft under Article 33 of Regulation (EU) 2016/679, for the supervisory authority. What "
        "is not known yet may follow in phases (Article 33(4)).",
        (
            Section(
                "Controller",
                fields=(
                    told.field("Controller", "controller", "Name and address?"),
                    told.field("Data protection officer", "dpo_contact", "Name and contact?"),
                    Field("Became aware", when(case.aware)),
                ),
                text=delay,
            ),
            Section(
                "Nature of the breach (Article 33(3)(a))",
                text=(_meaning(told), *findings(told, names=False)),
                fields=(
                    told.field("People, about", "people_affected", "How many people, about?"),
                    told.field(
                        "Which people", "people_kinds", "Customers, patients, children ...?"
                    ),
                    told.field("Records, about", "records_affected", "How many records, about?"),
                    told.field("Which data", "data_kinds", "Names, health, faces, money ...?"),
                ),
            ),
            Section(
                "Likely consequences (Article 33(3)(c))",
                text=(told.fact("consequences", "What may happen to these people?"),),
                fields=(
                    _asked(told, "risk_to_people", "A risk to them"),
                    _asked(told, "high_risk_to_people", "A high risk to them"),
                ),
            ),
            Section(
                "Measures (Article 33(3)(d))",
                table=containments(told, names=False),
                text=(
                    told.fact("corrective_action", "What else is done or planned, until when?"),
                    told.fact("people_told", "Were the people told, how and when (Article 34)?"),
                ),
            ),
            Section("Evidence", text=(_evidence(told),)),
        ),
    )


def advisory_note(told: Told) -> Paper:
    """Return what users of the model need to know and do, without what helps an attacker."""
    rows = tuple(
        (
            one.id,
            one.title,
            ", ".join(f"{s.scheme} {s.level}" for s in one.scores) or "not scored",
            ", ".join(it.name for it in one.affected) or "not named",
            one.remedy or "none yet",
        )
        for one in told.vulnerabilities
    )
    return Paper(
        "advisory-note",
        f"Advisory: {told.threat} of {told.model}",
        told.incident.id,
        f"Drafted {when(told.now)} by {told.by}",
        "For those who use the model or run a copy. The machine-readable form is written by "
        "casemate vuln export.",
        (
            Section(
                "What it is",
                text=(
                    told.fact("advisory_text", "In two sentences: what can go wrong, for whom?"),
                ),
                fields=(
                    Field("Type", told.threat),
                    Field("Models", told.model),
                    told.field("Versions", "affected_versions", "Which versions are affected?"),
                    told.field("Sharing", "tlp", "TLP:CLEAR, GREEN, AMBER or RED?"),
                ),
            ),
            Section(
                "Weaknesses",
                table=Table(("id", "weakness", "score", "affects", "what to do"), rows),
            ),
            Section(
                "What to do",
                text=(told.fact("advice", "What should a user do today, and what does it cost?"),),
            ),
            Section(
                "How to see whether it was used",
                text=(told.fact("indicators", "Which indicators may be shared?"),),
            ),
            Section("Whom to ask", text=(told.fact("contact", "Who can be asked, and how?"),)),
        ),
    )


def _asked(told: Told, fact: str, name: str) -> Field:
    return told.field(name, fact, told.asks.get(fact, name))


def _callers(told: Told) -> str:
    triage = told.incident.triage
    if triage is None:
        return "not known"
    return f"{len(triage.suspects)}, with {triage.queries:,} queries"


def _evidence(told: Told) -> str:
    frozen = told.last("frozen")
    copied = sum(one.copy is not None for one in told.items)
    if frozen is None:
        return "No evidence was frozen."
    return (
        f"{len(told.items)} items of evidence were frozen on {when(frozen.at)}, {copied} of them "
        f"are copied, each under its SHA-256 digest; {len(told.actions)} actions are on a hash-"
        "chained custody log. A bundle that can be verified offline is available."
    )


def _unaltered(told: Told) -> str:
    first = next((one for one in told.actions if one.kind == "contained"), None)
    if first is None:
        return "The system has not been altered since (Article 73(6))."
    return (
        f"The first containment, on {when(first.at)}, changed what callers are answered; the "
        "model, its data and its log are kept as they were (Article 73(6))."
    )


def _meaning(told: Told) -> Value:
    known = _BREACHES.get(told.incident.threat or "")
    return known or told.fact(
        "breach_kind", "Was it disclosure, alteration or loss of personal data, and how?"
    )
