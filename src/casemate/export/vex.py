"""Whether we are affected, as CSAF 2.0 in its VEX profile: a statement for each thing and weakness.

Source: OASIS Common Security Advisory Framework 2.0, section 4.5. A thing that is not affected says
why by VEX's own word; one that is affected says what to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from casemate.export.csaf import STATUSES, Publisher, document, encoded, product, remediation, words
from casemate.export.wording import references

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from casemate.records.vulnerability import Affected, Applies

Json = dict[str, Any]
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")
_ORDER = ("affected", "under-investigation", "fixed", "not-affected")


def write(answers: Sequence[Applies], publisher: Publisher, *, ident: str, at: datetime) -> bytes:
    """Return the statements as JSON.

    Args:
        answers: At least one.
        publisher: Who says so.
        ident: Id of the document.
        at: When it was looked; aware.
    """
    return encoded(vex(answers, publisher, ident=ident, at=at))


def vex(answers: Sequence[Applies], publisher: Publisher, *, ident: str, at: datetime) -> Json:
    """Return the statements as an object."""
    ids: dict[tuple[str, ...], str] = {}
    products: list[Json] = []
    grouped: dict[str, dict[str, Applies]] = {}
    for one in answers:
        mark = _mark(one.product)
        if mark not in ids:
            ids[mark] = f"CSAFPID-{len(ids) + 1:04d}"
            products.append(product(one.product, ids[mark]))
        of_weakness = grouped.setdefault(one.vulnerability, {})
        held = of_weakness.get(ids[mark])
        # A product has one status for a weakness: the one that asks for the most.
        if held is None or _rank(one) < _rank(held):
            of_weakness[ids[mark]] = one
    counted = dict.fromkeys(_ORDER, 0)
    for of_weakness in grouped.values():
        for one in of_weakness.values():
            counted[one.product.status] += 1
    told = ", ".join(f"{number} {word.replace('-', ' ')}" for word, number in counted.items())
    return {
        "document": document(
            publisher,
            category="csaf_vex",
            title="Which known weaknesses concern us",
            ident=ident,
            revisions=[(at, "looked at what is here")],
            status="final",
            note=f"{len(grouped)} weaknesses against {len(products)} things: {told}.",
        ),
        "product_tree": {"full_product_names": products},
        "vulnerabilities": [_weakness(of) for of in grouped.values()],
    }


def _weakness(answers: dict[str, Applies]) -> Json:
    first = next(iter(answers.values()))
    status: dict[str, list[str]] = {}
    for ident, one in answers.items():
        status.setdefault(STATUSES[one.product.status], []).append(ident)
    found: Json = {
        "title": words(first.title, 1000),
        "ids": [{"system_name": _system(first.vulnerability), "text": first.vulnerability}],
        "notes": [{"category": "description", "text": words(first.title, 8000)}],
        "product_status": status,
    }
    cves = [one for one in (first.vulnerability, *first.aliases) if _CVE.fullmatch(one)]
    if cves:
        found["cve"] = cves[0]
    links = [
        {"category": "external", "summary": one.label, "url": one.url}
        for one in references(first.refs)
    ]
    if links:
        found["references"] = links
    flags: dict[str, list[str]] = {}
    for ident, one in answers.items():
        if one.product.status == "not-affected" and one.product.justification:
            flags.setdefault(one.product.justification, []).append(ident)
    if flags:
        found["flags"] = [{"label": label, "product_ids": of} for label, of in flags.items()]
    found["threats"] = [
        {"category": "impact", "details": words(one.because, 4000), "product_ids": [ident]}
        for ident, one in answers.items()
    ]
    todo = [
        remediation(one.action, [ident])
        for ident, one in answers.items()
        if one.product.status == "affected"
    ]
    if todo:
        found["remediations"] = todo
    return found


def _mark(one: Affected) -> tuple[str, ...]:
    return (one.name, one.purl or "", *one.versions, *one.digests)


def _rank(one: Applies) -> int:
    return _ORDER.index(one.product.status)


def _system(ident: str) -> str:
    if ident.startswith("cmv-"):
        return "casemate"
    return "GitHub Security Advisory" if ident.startswith("GHSA-") else "OSV"
