"""A tracked weakness as a CSAF 2.0 security advisory, for whoever uses the model.

Source: OASIS Common Security Advisory Framework 2.0, sections 3 and 4.4. CSAF 2.0 has no place for
CVSS 4.0, the bug bar and SSVC: they stand in a note.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from casemate import __version__
from casemate.export.wording import clean, references, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from casemate.records.vulnerability import Affected, Score, Vulnerability

Json = dict[str, Any]
STATUSES = {
    "affected": "known_affected",
    "not-affected": "known_not_affected",
    "fixed": "fixed",
    "under-investigation": "under_investigation",
}
_DRAFT = ("reported",)
_CVE = re.compile(r"cve:CVE-\d{4}-\d{4,}", re.ASCII)
_PURL = re.compile(r"pkg:[A-Za-z.\-+][A-Za-z0-9.\-+]*/[!-~]+", re.ASCII)


class Publisher(NamedTuple):
    """Who says so."""

    name: str = "not named"
    namespace: str = "urn:casemate:not-named"
    """A URI of theirs."""
    category: str = "user"
    """`vendor`, `discoverer`, `coordinator`, `user` or `other`."""


def write(
    record: Vulnerability, publisher: Publisher, rate: Callable[[str], Sequence[float]]
) -> bytes:
    """Return the advisory as JSON.

    Args:
        record: The weakness.
        publisher: Who says so.
        rate: From a CVSS 3.1 vector to its base, temporal and environmental score.
    """
    return encoded(advisory(record, publisher, rate))


def advisory(
    record: Vulnerability, publisher: Publisher, rate: Callable[[str], Sequence[float]]
) -> Json:
    """Return the advisory as an object."""
    products = [
        product(one, f"CSAFPID-{place:04d}") for place, one in enumerate(record.affected, 1)
    ]
    ids = [one["product_id"] for one in products]
    status: dict[str, list[str]] = {}
    for one, ident in zip(record.affected, ids, strict=True):
        word = "fixed" if record.state == "fixed" and one.status == "affected" else one.status
        status.setdefault(STATUSES[word], []).append(ident)
    weakness: Json = {
        "title": words(record.title, 1000),
        "ids": [{"system_name": "casemate", "text": record.id}],
        "notes": [
            {"category": "description", "text": words(record.summary or record.title, 8000)},
            {"category": "details", "title": "Scores", "text": _scores(record.scores)},
        ],
        "product_status": status,
        "threats": [_exploited(record)],
    }
    links = [
        {"category": "external", "summary": one.label, "url": one.url}
        for one in references(record.refs)
    ]
    if links:
        weakness["references"] = links
    cves = [ref[4:] for ref in record.refs if _CVE.fullmatch(ref)]
    if cves:
        weakness["cve"] = cves[0]
    three = next((one for one in record.scores if one.scheme == "cvss-3.1"), None)
    affected = status.get("known_affected")
    if three is not None and three.vector and affected:
        weakness["scores"] = [{"products": affected, "cvss_v3": _cvss(three, rate)}]
    todo = remediation(record.remedy, affected or ids)
    weakness["remediations"] = [todo]
    return {
        "document": document(
            publisher,
            category="csaf_security_advisory",
            title=f"{record.id}: {record.title}",
            ident=record.id,
            revisions=_history(record),
            status="draft" if record.state in _DRAFT else "final",
            note=record.summary or record.title,
        ),
        "product_tree": {"full_product_names": products},
        "vulnerabilities": [weakness],
    }


def document(
    publisher: Publisher,
    *,
    category: str,
    title: str,
    ident: str,
    revisions: Sequence[tuple[datetime, str]],
    status: str,
    note: str,
) -> Json:
    """Return the part of a CSAF file that is about the file."""
    history = [
        {"date": stamp(at), "number": str(number), "summary": words(text, 1000)}
        for number, (at, text) in enumerate(revisions, 1)
    ]
    return {
        "category": category,
        "csaf_version": "2.0",
        "lang": "en",
        "title": words(title, 1000),
        "notes": [{"category": "summary", "text": words(note, 8000)}],
        "publisher": {
            "category": publisher.category,
            "name": words(publisher.name, 200),
            "namespace": publisher.namespace,
        },
        "tracking": {
            "id": ident,
            "status": status,
            "version": history[-1]["number"],
            "initial_release_date": history[0]["date"],
            "current_release_date": history[-1]["date"],
            "revision_history": history,
            "generator": {"engine": {"name": "casemate", "version": __version__}},
        },
    }


def product(one: Affected, ident: str) -> Json:
    """Return a thing by its full name, with what else tells it."""
    name = " ".join((one.name, *one.versions[:1]))
    found: Json = {"name": words(name, 1000) or "unnamed", "product_id": ident}
    helper: Json = {}
    if one.purl and _PURL.fullmatch(one.purl):
        helper["purl"] = one.purl
    digests = [it.partition(":")[2] for it in one.digests if it.startswith("sha256:")]
    if digests:
        helper["hashes"] = [
            {
                "filename": words(one.name, 1000) or "unnamed",
                "file_hashes": [{"algorithm": "sha256", "value": it} for it in digests],
            }
        ]
    if helper:
        found["product_identification_helper"] = helper
    return found


def remediation(text: str, products: Iterable[str]) -> Json:
    """Return what to do, or that nothing is known to do."""
    return {
        "category": "mitigation" if text else "none_available",
        "details": words(text, 4000) or "No repair and no mitigation is known.",
        "product_ids": list(products),
    }


def stamp(moment: datetime) -> str:
    """Return a time as CSAF writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def words(text: str, limit: int) -> str:
    """Return text from outside as a format can carry it."""
    return clean(shorten(text.strip(), limit))


def encoded(body: Json) -> bytes:
    """Return an object as indented JSON with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"


def _history(record: Vulnerability) -> list[tuple[datetime, str]]:
    found = []
    for note in record.notes:
        when, _, text = note.partition(": ")
        try:
            at = datetime.strptime(when[:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        except ValueError:
            continue
        found.append((at, text or note))
    return sorted(found, key=lambda one: one[0]) or [(record.opened, "first recorded")]


def _exploited(record: Vulnerability) -> Json:
    told = {
        "no": "Nobody is known to have tried it.",
        "proof-of-concept": "It was shown to work.",
        "active": "It has been exploited.",
    }
    return {"category": "exploit_status", "details": told[record.facts.exploited]}


def _scores(scores: Sequence[Score]) -> str:
    lines = []
    for one in scores:
        value = "" if one.value is None else f" {one.value:.1f}"
        lines.append(f"{one.scheme}:{value} {one.level} {one.vector or ''}".rstrip())
    return "\n".join(lines) or "not scored"


def _cvss(score: Score, rate: Callable[[str], Sequence[float]]) -> Json:
    vector = score.vector or ""
    base, temporal, environmental = rate(vector)
    found: Json = {
        "version": "3.1",
        "vectorString": vector,
        "baseScore": base,
        "baseSeverity": _severity(base),
    }
    metrics = {part.partition(":")[0] for part in vector.split("/")[1:]}
    if metrics & {"E", "RL", "RC"}:
        found |= {"temporalScore": temporal, "temporalSeverity": _severity(temporal)}
    if metrics & {"CR", "IR", "AR"}:
        found |= {
            "environmentalScore": environmental,
            "environmentalSeverity": _severity(environmental),
        }
    return found


def _severity(value: float) -> str:
    for word, least in (("CRITICAL", 9.0), ("HIGH", 7.0), ("MEDIUM", 4.0), ("LOW", 0.1)):
        if value >= least:
            return word
    return "NONE"
