"""A tracked weakness as a report of the AI Vulnerability Database.

Source: https://docs.avidml.org and the data models of avidtools: a report, its taxonomy of security
views (S) and life-cycle stages (L).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.export.csaf import encoded, words
from casemate.export.wording import references

if TYPE_CHECKING:
    from casemate.records.vulnerability import Vulnerability

Json = dict[str, Any]
_VIEWS: dict[str, tuple[str, ...]] = {
    "adversarial-perturbation": ("S0403: Adversarial Example",),
    "physical-adversarial-example": ("S0403: Adversarial Example",),
    "data-poisoning": ("S0600: Data Poisoning",),
    "backdoored-ml-provider": ("S0201: Model Compromise",),
    "ml-supply-chain": ("S0200: Supply Chain Compromise",),
    "software-dependencies": ("S0202: Software Compromise",),
    "model-stealing": ("S0502: Model theft", "S0302: Excessive Queries"),
    "model-inversion": ("S0501: Model inversion",),
    "membership-inference": ("S0301: Information Leak",),
    "neural-net-reprogramming": ("S0400: Model Bypass",),
    "provider-recovers-data": ("S0500: Exfiltration",),
}
_STAGES: dict[str, str] = {
    "data-poisoning": "L03: Data Preparation",
    "backdoored-ml-provider": "L04: Model Development",
    "ml-supply-chain": "L04: Model Development",
    "software-dependencies": "L04: Model Development",
    "provider-recovers-data": "L04: Model Development",
}


def write(record: Vulnerability) -> bytes:
    """Return the report as JSON."""
    return encoded(avid(record))


def avid(record: Vulnerability) -> Json:
    """Return the report as an object; `report_id` is AVID's to give, ours stands in its place."""
    facts = record.facts
    measured = {
        name: value
        for name, value in (("success", facts.success), ("median queries", facts.queries))
        if value is not None
    }
    return {
        "data_type": "AVID",
        "data_version": "0.2",
        "metadata": {"report_id": record.id},
        "affects": {
            "developer": [],
            "deployer": [],
            "artifacts": [
                {"type": _kind(record.threat, one.purl), "name": words(one.name, 1000)}
                for one in record.affected
            ],
        },
        "problemtype": {
            "classof": "CVE Entry" if any(it[:4] == "cve:" for it in record.refs) else "Undefined",
            "type": "Measurement" if measured else "Issue",
            "description": {"lang": "eng", "value": words(record.title, 1000)},
        },
        "metrics": [
            {
                "name": name,
                "features": {"value": value},
                "detection_method": {"type": "Static Threshold", "name": "casemate"},
            }
            for name, value in measured.items()
        ],
        "references": [
            {"type": "source", "label": one.label, "url": one.url}
            for one in references(record.refs)
        ],
        "description": {"lang": "eng", "value": words(record.summary or record.title, 8000)},
        "impact": {
            "avid": {
                "risk_domain": ["Security"],
                "sep_view": list(_VIEWS.get(record.threat, ("S0100: Software Vulnerability",))),
                "lifecycle_view": [_STAGES.get(record.threat, "L06: Deployment")],
                "taxonomy_version": "0.2",
            }
        },
        "credit": [{"lang": "eng", "value": words(record.reporter, 200)}]
        if record.reporter
        else [],
        "reported_date": record.opened.date().isoformat(),
    }


def _kind(threat: str, purl: str | None) -> str:
    if purl and purl.lower().startswith("pkg:pypi/"):
        return "System"
    return "Dataset" if threat == "data-poisoning" else "Model"
