"""A case and its weaknesses as STIX 2.1, to be shared with those who may be hit next.

Who took part is an indicator on the account's id; the type of attack is an attack pattern with its
ATLAS techniques; the report holds them all. Source: OASIS STIX 2.1. Ids follow from what they are
about, so that writing the same case twice gives the same objects.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from casemate.catalog import loader
from casemate.catalog.entries import ThreatKind
from casemate.export.csaf import encoded, words
from casemate.export.wording import references
from casemate.records.severity import Confidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.records.incident import Incident, Suspect
    from casemate.records.vulnerability import Vulnerability

Json = dict[str, Any]
SPACE = uuid.UUID("2b3f6d2e-5f0d-5b44-9a4e-0c1b7f6f2d10")
"""Namespace of casemate's ids in STIX."""
_SURE = {Confidence.CERTAIN: 95, Confidence.FIRM: 75, Confidence.TENTATIVE: 40}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST = 256


def write(
    case: Incident | None,
    weaknesses: Sequence[Vulnerability] = (),
    *,
    publisher: str = "not named",
    principals: bool = True,
) -> bytes:
    """Return a bundle as JSON.

    Args:
        case: The case; None for weaknesses alone.
        weaknesses: Those it rests on, or those to share.
        publisher: Who shares it.
        principals: Whether to name who took part; their ids may be personal data.
    """
    return encoded(stix(case, weaknesses, publisher=publisher, principals=principals))


def stix(
    case: Incident | None,
    weaknesses: Sequence[Vulnerability] = (),
    *,
    publisher: str = "not named",
    principals: bool = True,
) -> Json:
    """Return a bundle as an object."""
    first = case.opened if case else min(one.opened for one in weaknesses)
    who = _object("identity", publisher, first, None)
    who |= {"name": words(publisher, 200), "identity_class": "organization"}
    objects = [who]
    patterns = _patterns(case, weaknesses, first, who["id"])
    objects += patterns.values()
    by_weakness = {one.id: _vulnerability(one, who["id"]) for one in weaknesses}
    objects += by_weakness.values()
    for one in weaknesses:
        objects.append(
            _relation(patterns[one.threat], "targets", by_weakness[one.id], one.opened, who["id"])
        )
    if case is not None:
        objects += _case(case, patterns, who["id"], principals=principals)
        subject = next(one for one in objects if one["type"] == "incident")
        objects += [
            _relation(one, "related-to", subject, first, who["id"])
            for one in (*by_weakness.values(), *patterns.values())
        ]
        report = _object("report", f"report {case.id}", case.opened, who["id"])
        report |= {
            "name": words(f"{case.id}: {case.title}", 1000),
            "report_types": ["threat-report"],
            "published": _time(case.opened),
            "object_refs": [one["id"] for one in objects],
        }
        objects.append(report)
    name = case.id if case else " ".join(sorted(by_weakness))
    return {"type": "bundle", "id": _id("bundle", name), "objects": objects}


def _case(case: Incident, patterns: dict[str, Json], who: str, *, principals: bool) -> list[Json]:
    triage = case.triage
    incident = _object("incident", case.id, case.opened, who)
    reasons = " ".join(triage.reasons) if triage else ""
    incident |= {
        "name": words(case.title, 1000),
        "description": words(f"{case.severity} ({case.state}). {reasons}", 8000),
        "external_references": [{"source_name": "casemate", "external_id": case.id}],
    }
    found = [incident]
    if triage is None or not principals:
        return found
    for suspect in triage.suspects[:_MOST]:
        indicator = _indicator(case, suspect, who)
        found.append(indicator)
        found.append(_relation(indicator, "related-to", incident, case.opened, who))
        if case.threat in patterns:
            found.append(_relation(indicator, "indicates", patterns[case.threat], case.opened, who))
    return found


def _indicator(case: Incident, suspect: Suspect, who: str) -> Json:
    quoted = suspect.principal.encode("utf-8", "backslashreplace").decode()
    quoted = words(quoted, 1000).replace("\\", "\\\\").replace("'", "\\'")
    one = _object("indicator", f"{case.id} {suspect.principal!r}", case.opened, who)
    began = _EPOCH + timedelta(microseconds=suspect.began)
    return one | {
        "name": words(f"principal {suspect.principal}", 1000),
        "description": words(f"{suspect.queries} queries. {suspect.because}", 4000),
        "indicator_types": ["malicious-activity"],
        "pattern": f"[user-account:user_id = '{quoted}']",
        "pattern_type": "stix",
        "valid_from": _time(began),
        "confidence": _SURE[suspect.confidence],
    }


def _patterns(
    case: Incident | None, weaknesses: Sequence[Vulnerability], at: datetime, who: str
) -> dict[str, Json]:
    rows = loader.entries("threats", ThreatKind)
    wanted = [case.threat] if case and case.threat else []
    wanted += [one.threat for one in weaknesses]
    found: dict[str, Json] = {}
    for threat in dict.fromkeys(wanted):
        row = rows.get(threat)
        one = _object("attack-pattern", threat, at, who)
        one["name"] = row.title if row else threat
        if row:
            one["description"] = words(" ".join(row.why.split()), 4000)
            techniques = [ref[6:] for ref in row.refs if ref.startswith("atlas:")]
            if techniques:
                one["external_references"] = [
                    {
                        "source_name": "mitre-atlas",
                        "external_id": it,
                        "url": f"https://atlas.mitre.org/techniques/{it}",
                    }
                    for it in techniques
                ]
        found[threat] = one
    return found


def _vulnerability(record: Vulnerability, who: str) -> Json:
    one = _object("vulnerability", record.id, record.opened, who, changed=record.changed)
    levels = ", ".join(f"{it.scheme} {it.level}" for it in record.scores)
    links: list[Json] = [{"source_name": "casemate", "external_id": record.id}]
    links += [
        {"source_name": "cve", "external_id": ref[4:]}
        for ref in record.refs
        if ref.startswith("cve:")
    ]
    links += [{"source_name": it.label, "url": it.url} for it in references(record.refs)]
    return one | {
        "name": words(record.title, 1000),
        "description": words(f"{record.summary or record.title} ({record.state}; {levels})", 8000),
        "external_references": links,
    }


def _relation(source: Json, kind: str, target: Json, at: datetime, who: str) -> Json:
    one = _object("relationship", f"{source['id']} {kind} {target['id']}", at, who)
    return one | {
        "relationship_type": kind,
        "source_ref": source["id"],
        "target_ref": target["id"],
    }


def _object(
    kind: str, about: str, at: datetime, who: str | None, *, changed: datetime | None = None
) -> Json:
    found: Json = {
        "type": kind,
        "spec_version": "2.1",
        "id": _id(kind, about),
        "created": _time(at),
        "modified": _time(max(at, changed or at)),
    }
    if who is not None:
        found["created_by_ref"] = who
    return found


def _id(kind: str, about: str) -> str:
    return f"{kind}--{uuid.uuid5(SPACE, f'{kind} {about}')}"


def _time(moment: datetime) -> str:
    at = moment.astimezone(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
