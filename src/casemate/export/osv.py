"""A tracked weakness in the Open Source Vulnerability format, for scanners of dependencies.

Source: https://ossf.github.io/osv-schema/, 1.7. A model has no ecosystem there: its name and
digests stand under `database_specific`. The id has OSV's prefix for private databases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from casemate.export.csaf import encoded, stamp, words
from casemate.export.wording import references

if TYPE_CHECKING:
    from casemate.records.vulnerability import Affected, Vulnerability

Json = dict[str, Any]
SCHEMA = "1.7.0"
_TYPES = {"cvss-4.0": "CVSS_V4", "cvss-3.1": "CVSS_V3"}
_PYPI = re.compile(r"pkg:pypi/([^@?#/]+)", re.IGNORECASE)


def write(record: Vulnerability) -> bytes:
    """Return the weakness as JSON."""
    return encoded(osv(record))


def osv(record: Vulnerability) -> Json:
    """Return the weakness as an object."""
    body: Json = {
        "schema_version": SCHEMA,
        "id": f"x_casemate-{record.id}",
        "modified": stamp(record.changed),
        "published": stamp(record.opened),
        "summary": words(record.title, 1000),
        "details": words(record.summary or record.title, 8000),
        "severity": [
            {"type": _TYPES[one.scheme], "score": one.vector}
            for one in record.scores
            if one.scheme in _TYPES and one.vector
        ],
        "affected": [_affected(one) for one in record.affected],
        "references": [{"type": "WEB", "url": one.url} for one in references(record.refs)],
        "database_specific": {
            "casemate": {
                "id": record.id,
                "threat": record.threat,
                "state": record.state,
                "levels": {one.scheme: one.level for one in record.scores},
                "cwe_ids": [f"CWE-{ref[4:]}" for ref in record.refs if ref.startswith("cwe:")],
            }
        },
    }
    cves = [ref[4:] for ref in record.refs if ref.startswith("cve:")]
    if cves:
        body["aliases"] = cves
    if record.state in ("rejected", "duplicate"):
        body["withdrawn"] = stamp(record.changed)
    return body


def _affected(one: Affected) -> Json:
    found: Json = {
        "database_specific": {
            "casemate": {"name": words(one.name, 1000), "digests": list(one.digests)}
        }
    }
    package = _PYPI.match(one.purl or "")
    if package:
        found["package"] = {"ecosystem": "PyPI", "name": package[1].lower(), "purl": package[0]}
        events = [{"introduced": one.introduced or "0"}]
        if one.fixed:
            events.append({"fixed": one.fixed})
        if one.introduced or one.fixed or not one.versions:
            found["ranges"] = [{"type": "ECOSYSTEM", "events": events}]
    if one.versions:
        found["versions"] = list(one.versions)
    return found
