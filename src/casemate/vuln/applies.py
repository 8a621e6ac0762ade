"""Am I affected? Advisories and tracked weaknesses against what is here, with the reason for each.

An answer is one of VEX's four; what cannot be told is under investigation, never not affected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from casemate.records.vulnerability import Affected, Applies
from casemate.vuln.scoring import from_vector
from casemate.vuln.versions import affected, repair

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casemate.records.finding import Finding
    from casemate.records.vulnerability import Score, Vulnerability
    from casemate.vuln.advisories import Concerned, Notice
    from casemate.vuln.inventory import Inventory, Thing

Status = Literal["affected", "not-affected", "fixed", "under-investigation"]
ABSENT = "component_not_present"
OTHER_VERSION = "vulnerable_code_not_present"
"""Reasons in VEX's own words."""


def to_packages(notices: Iterable[Notice], place: Inventory) -> list[Applies]:
    """Answer for every advisory whether it concerns the packages of one place."""
    here: dict[str, list[Thing]] = {}
    for thing in place.things:
        if thing.kind == "package":
            here.setdefault(thing.name, []).append(thing)
    found = []
    for notice in notices:
        for one in notice.packages:
            things = here.get(one.name, [])
            found += [_of_package(notice, one, thing) for thing in things]
            if not things:
                found.append(_of_absent(notice, one, place))
    return found


def to_files(notices: Iterable[Notice], findings: Iterable[Finding]) -> list[Applies]:
    """Answer which scanned files make use of an advisory."""
    by_rule: dict[str, list[Notice]] = {}
    for notice in notices:
        for rule in notice.rules:
            by_rule.setdefault(rule, []).append(notice)
    found: dict[tuple[str, str], Applies] = {}
    for finding in findings:
        for notice in by_rule.get(finding.rule, ()):
            product = Affected(name=finding.target.uri, digests=_one(finding.target.digest))
            found[(notice.id, finding.target.uri)] = _answer(
                notice,
                product,
                f"the file makes use of it: {finding.message}",
                action=finding.remedy,
            )
    return list(found.values())


def to_tracked(known: Iterable[Vulnerability], things: Sequence[Thing]) -> list[Applies]:
    """Answer which files, models and endpoints have a weakness that is tracked here."""
    by_name: dict[str, list[Thing]] = {}
    by_digest: dict[str, list[Thing]] = {}
    for thing in things:
        by_name.setdefault(thing.name, []).append(thing)
        if thing.digest:
            by_digest.setdefault(thing.digest, []).append(thing)
    found: dict[tuple[str, Thing], Applies] = {}
    for one in known:
        if one.state in ("rejected", "duplicate"):
            continue
        for product in one.affected:
            same = [it for digest in product.digests for it in by_digest.get(digest, ())]
            for thing in dict.fromkeys((*same, *by_name.get(product.name, ()))):
                answer = _of_tracked(one, product, thing)
                held = found.get((one.id, thing))
                if held is None or _worse(answer, held):
                    found[(one.id, thing)] = answer
    return list(found.values())


def _of_package(notice: Notice, one: Concerned, thing: Thing) -> Applies:
    version = thing.version
    name = f"{one.name} {version}" if version else one.name
    if version is None:
        return _package(notice, thing, "under-investigation", f"nothing says which {name} it is")
    inside = True if version in one.versions else affected(version, one.ranges)
    if inside is None or (not inside and one.partial):
        why = f"{name} cannot be compared with the ranges of the advisory"
        return _package(notice, thing, "under-investigation", why)
    fixed = repair(version, one.ranges)
    if inside:
        todo = f"upgrade {one.name} to {fixed} or later" if fixed else "no repair is published"
        return _package(
            notice, thing, "affected", f"{name} is in the range of the advisory", todo, fixed
        )
    if thing.own_build:
        why = f"{name} was built from a folder or repository; its version does not tell its code"
        return _package(notice, thing, "under-investigation", why)
    if _repaired(version, one):
        return _package(notice, thing, "fixed", f"{name} has the repair")
    return _package(
        notice,
        thing,
        "not-affected",
        f"{name} is outside the range of the advisory",
        justification=OTHER_VERSION,
    )


def _of_absent(notice: Notice, one: Concerned, place: Inventory) -> Applies:
    product = Affected(name=place.where, purl=f"pkg:pypi/{one.name}", status="under-investigation")
    if not place.complete:
        return _answer(
            notice, product, f"{one.name} is not listed, but the list need not be complete"
        )
    product = Affected(
        name=place.where,
        purl=f"pkg:pypi/{one.name}",
        status="not-affected",
        justification=ABSENT,
    )
    return _answer(notice, product, f"{one.name} is not installed")


def _of_tracked(one: Vulnerability, product: Affected, thing: Thing) -> Applies:
    status: Status = "affected"
    same = thing.digest is not None and thing.digest in product.digests
    if thing.digest and product.digests and not same:
        status = "under-investigation"
        why = "it has the name of what was tested, and another content"
    elif one.state == "fixed":
        # Fixed is what is there now under that name; the very bytes that were tested are not.
        status = "affected" if same else "fixed"
        why = "it is what had the weakness" if same else "the weakness was fixed here"
    elif one.state == "reported":
        status = "under-investigation"
        why = "it was reported, and nobody has confirmed it yet"
    else:
        why = f"it is what was tested ({', '.join(one.proof[:3]) or 'a report'})"
        if one.state == "mitigated":
            why += "; a mitigation is in place"
    return Applies(
        vulnerability=one.id,
        title=one.title,
        aliases=tuple(ref.partition(":")[2] for ref in one.refs if ref.startswith("cve:")),
        product=Affected(
            name=thing.name,
            purl=thing.purl,
            versions=_one(thing.version),
            digests=_one(thing.digest),
            status=status,
        ),
        because=why,
        action=one.remedy if status == "affected" else "",
        score=next((it for it in one.scores if it.scheme == "cvss-4.0"), None),
        refs=one.refs,
    )


def _package(
    notice: Notice,
    thing: Thing,
    status: Status,
    why: str,
    action: str = "",
    fixed: str | None = None,
    justification: str | None = None,
) -> Applies:
    product = Affected(
        name=thing.name,
        purl=thing.purl,
        versions=_one(thing.version),
        fixed=fixed,
        status=status,
        justification=justification,
    )
    return _answer(notice, product, f"{why} ({thing.where})", action=action)


def _answer(notice: Notice, product: Affected, why: str, *, action: str = "") -> Applies:
    return Applies(
        vulnerability=notice.id,
        title=notice.title,
        aliases=notice.aliases,
        product=product,
        because=why,
        action=action,
        score=_score(notice.vector),
        refs=notice.refs,
    )


def _score(vector: str | None) -> Score | None:
    return from_vector(vector) if vector else None


def _repaired(version: str, one: Concerned) -> bool:
    """Say whether the version comes after a repair, and not merely before the beginning."""
    return any(
        event.kind == "fixed" and affected(version, [[event._replace(kind="introduced")]])
        for events in one.ranges
        for event in events
    )


def _worse(one: Applies, other: Applies) -> bool:
    order = ("affected", "under-investigation", "fixed", "not-affected")
    return order.index(one.product.status) < order.index(other.product.status)


def _one(value: str | None) -> tuple[str, ...]:
    return (value,) if value else ()
