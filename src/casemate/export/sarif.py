"""`--format sarif`: findings for code scanning and editors, within the platforms' upload limits.

The form is OASIS SARIF 2.1.0; the limits are those GitHub documents for code scanning, beyond
which an upload is refused whole.
"""

from __future__ import annotations

import gzip
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from casemate import __version__
from casemate.catalog.entries import Attack, Rule
from casemate.export import coverage
from casemate.export.report import Bundle, described, file_verdicts, gate_verdict, mitigations
from casemate.export.wording import SCORES, clean, count, place, references, sentence, shorten
from casemate.records.severity import Confidence, Severity

if TYPE_CHECKING:
    from casemate.records.finding import Finding
    from casemate.records.location import Location

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
MAX_RESULTS = 25_000
SHOWN_RESULTS = 5_000
MAX_BYTES = 10_000_000
"""Compressed with gzip, as it is uploaded."""
MAX_STEPS = 1_000
MAX_TAGS = 10
MAX_NOTICES = 1_000
CONFIGURATION = "casemate.toml"

Json = dict[str, Any]
_LEVELS = {
    Severity.CRITICAL: "error",
    Severity.IMPORTANT: "error",
    Severity.MODERATE: "warning",
    Severity.LOW: "note",
}
_PRECISION = {
    Confidence.CERTAIN: "very-high",
    Confidence.FIRM: "high",
    Confidence.TENTATIVE: "medium",
}
_OPCODE = re.compile(r"# [A-Z_0-9]+ at (\d+)$")
_REMOTE = re.compile(r"(https?|grpcs?)(\+[\w-]+)?://", re.ASCII)
_SCHEME = re.compile(
    r"(torch|torchscript|torch-export|onnx|sklearn|xgboost|lightgbm|keras|python):(.+)"
)


def write(bundle: Bundle) -> bytes:
    """Return the findings as a SARIF log that a code-scanning platform accepts."""
    ordered = sorted(
        bundle.findings,
        key=lambda one: (one.fingerprint in bundle.waived, one.severity.rank, one.fingerprint),
    )
    keep = min(len(ordered), MAX_RESULTS)
    while True:
        log = _log(bundle, ordered[:keep], len(ordered) - keep)
        data = msgspec.json.format(msgspec.json.encode(log), indent=1) + b"\n"
        if keep < 2 or len(data) <= MAX_BYTES or len(gzip.compress(data, 6)) <= MAX_BYTES:
            return data
        keep //= 2


def _log(bundle: Bundle, findings: list[Finding], left_out: int) -> Json:
    rules: dict[str, Json] = {}
    results = [_result(bundle, one, rules) for one in findings]
    code, _, incomplete = coverage.exit_of(bundle)
    run: Json = {
        "tool": {
            "driver": {
                "name": "casemate",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [entry["rule"] for entry in rules.values()],
                "notifications": [
                    {
                        "id": "not-checked",
                        "shortDescription": {"text": "Something was not checked."},
                    },
                    {"id": "left-out", "shortDescription": {"text": "Not every result is shown."}},
                ],
            }
        },
        "automationDetails": {"id": f"casemate/{bundle.run.verb}/{bundle.run.id}"},
        "originalUriBaseIds": {
            "%SRCROOT%": {"description": {"text": "The folder of casemate.toml."}}
        },
        "invocations": [_invocation(bundle, code, incomplete, left_out, len(findings))],
        "results": results,
        "artifacts": _artifacts(bundle),
    }
    gate = gate_verdict(bundle)
    if gate is not None:
        reasons = [clean(shorten(reason, 2000)) for reason in gate.reasons[:50]]
        run["properties"] = {"gate": {"answer": gate.answer, "reasons": reasons}}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _result(bundle: Bundle, finding: Finding, rules: dict[str, Json]) -> Json:
    if finding.rule not in rules:
        rules[finding.rule] = {"index": len(rules), "rule": _rule(finding)}
    command = bundle.commands.get(finding.fingerprint)
    message = f"{sentence(finding.message)} In {place(finding)}. {sentence(finding.remedy)}"
    result: Json = {
        "ruleId": finding.rule,
        "ruleIndex": rules[finding.rule]["index"],
        "level": _LEVELS[finding.severity],
        "message": {"text": clean(shorten(message, 4000))},
        "locations": [_location(finding)],
        "partialFingerprints": {
            "casemate/v1": finding.fingerprint,
            "primaryLocationLineHash": finding.fingerprint,
        },
        "properties": {
            "security-severity": str(SCORES[finding.severity]),
            "severity": finding.severity.value,
            "confidence": finding.confidence.value,
            "subject": clean(shorten(finding.subject, 1000)),
        },
    }
    where = finding.location
    if where is not None and where.offset is not None:
        result["properties"]["byteOffset"] = where.offset
    if command:
        result["properties"]["reproduce"] = clean(command)
    flow = _code_flow(finding)
    if flow:
        result["codeFlows"] = [flow]
    if finding.fingerprint in bundle.waived:
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": clean(shorten(bundle.waived[finding.fingerprint], 2000)),
            }
        ]
    return result


def _location(finding: Finding) -> Json:
    where = finding.location
    path = where.path if where is not None else finding.target.uri
    # A platform anchors an alert to a line; a binary file has none, so line 1 stands for the file.
    location: Json = {
        "physicalLocation": {
            "artifactLocation": _artifact(path),
            "region": {"startLine": where.line if where is not None and where.line else 1},
        }
    }
    if where is not None and where.member:
        name = f"{where.member}@{where.offset}" if where.offset is not None else where.member
        location["logicalLocations"] = [
            {"fullyQualifiedName": clean(shorten(name, 1000)), "kind": "member"}
        ]
    elif _REMOTE.match(path):
        location["logicalLocations"] = [{"fullyQualifiedName": clean(path), "kind": "resource"}]
    return location


def _artifact(uri: str) -> Json:
    """Return the location of a file in the repository that stands for a path or target URI."""
    if _REMOTE.match(uri):
        return {"uri": CONFIGURATION, "uriBaseId": "%SRCROOT%"}
    path = uri
    scheme = _SCHEME.fullmatch(uri)
    if scheme:
        kind, path = scheme.groups()
        if kind in ("torch", "python"):
            path = path.rpartition(":")[0] or path
            if not path.endswith(".py"):
                return {"uri": CONFIGURATION, "uriBaseId": "%SRCROOT%"}
    path = path.replace("\\", "/")
    if re.match(r"[A-Za-z]:/", path):
        return {"uri": "file:///" + path[0] + ":" + _quoted(path[2:])}
    if path.startswith("/"):
        return {"uri": "file://" + _quoted(path)}
    return {"uri": _quoted(path.removeprefix("./")) or ".", "uriBaseId": "%SRCROOT%"}


def _quoted(path: str) -> str:
    return quote(path.encode("utf-8", "surrogateescape"), safe="/~!$&'()*+,;=@")


def _code_flow(finding: Finding) -> Json | None:
    """Return the steps of loading the file, from evidence that tells more than one."""
    steps = [
        (line.strip(), where)
        for seen in finding.evidence
        if (where := seen.location) is not None
        for line in (seen.excerpt or seen.how).splitlines()
        if line.strip()
    ]
    if len(steps) < 2:
        return None
    return {
        "message": {"text": "What loading the file does, in order."},
        "threadFlows": [{"locations": [_step(*one) for one in steps[:MAX_STEPS]]}],
    }


def _step(line: str, where: Location) -> Json:
    # The pickle reader ends a line of reconstructed code with its opcode: `# REDUCE at 53`.
    found = _OPCODE.search(line)
    offset = int(found[1]) if found else where.offset
    step: Json = {
        "location": {
            "message": {"text": clean(shorten(line, 1000))},
            "physicalLocation": {
                "artifactLocation": _artifact(where.path),
                "region": {"startLine": where.line or 1},
            },
        }
    }
    if offset is not None:
        step["properties"] = {"byteOffset": offset}
    return step


def _rule(finding: Finding) -> Json:
    entry = described(finding.rule)
    severity = entry.severity if entry is not None else finding.severity
    rule: Json = {
        "id": finding.rule,
        "shortDescription": {"text": entry.title if entry is not None else finding.rule},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {
            "tags": ["security", "machine-learning"],
            "security-severity": str(SCORES[severity]),
            "problem.severity": {"note": "recommendation"}.get(
                _LEVELS[severity], _LEVELS[severity]
            ),
            "precision": _PRECISION[finding.confidence],
        },
    }
    if entry is None:
        return rule
    links = references(entry.refs)
    rule["fullDescription"] = {"text": shorten(" ".join(entry.why.split()), 1000)}
    rule["help"] = {"text": _help(entry, markdown=False), "markdown": _help(entry, markdown=True)}
    if links:
        rule["helpUri"] = links[0].url
    tags = [f"external/cwe/cwe-{ref[4:]}" for ref in entry.refs if ref.startswith("cwe:")]
    tags += [f"external/atlas/{ref[6:].lower()}" for ref in entry.refs if ref.startswith("atlas:")]
    rule["properties"]["tags"] = ["security", "machine-learning", *tags][:MAX_TAGS]
    return rule


def _help(entry: Rule | Attack, *, markdown: bool) -> str:
    parts = [("", entry.why)]
    if isinstance(entry, Rule):
        parts += [("What to do", entry.remedy), ("How it is found", entry.how)]
    else:
        todo = "\n".join(f"- {one.title}: {one.how.strip()}" for one in mitigations(entry.id))
        parts += [("What to do", todo)]
    parts += [("Why this severity", entry.severity_why), ("What it misses", entry.misses)]
    links = references(entry.refs)
    if markdown:
        parts.append(("References", "\n".join(f"- [{one.label}]({one.url})" for one in links)))
        heads = [
            f"## {head}\n\n{body.strip()}" if head else body.strip() for head, body in parts if body
        ]
    else:
        parts.append(("References", "\n".join(one.url for one in links)))
        heads = [
            f"{head}: {body.strip()}" if head else body.strip() for head, body in parts if body
        ]
    return "\n\n".join(heads)


def _invocation(bundle: Bundle, code: int, incomplete: bool, left_out: int, kept: int) -> Json:
    open_points = coverage.gaps(bundle)
    notices = [
        _notice(
            "not-checked", "error" if gap.blocks else "note", f"{gap.what}: {gap.why}".strip(": ")
        )
        for gap in open_points[:MAX_NOTICES]
    ]
    if len(open_points) > MAX_NOTICES:
        more = count(len(open_points) - MAX_NOTICES, "more thing was", "more things were")
        notices.append(_notice("not-checked", "error", f"{more} not checked; see the JSON report"))
    if left_out:
        text = (
            f"{count(left_out, 'finding is', 'findings are')} left out to stay within upload limits"
        )
        notices.append(_notice("left-out", "warning", f"{text}; the JSON report has them all"))
    elif kept > SHOWN_RESULTS:
        text = f"code scanning shows the {SHOWN_RESULTS:,} most severe of {kept:,} findings"
        notices.append(_notice("left-out", "warning", text))
    invocation: Json = {
        "executionSuccessful": not incomplete,
        "exitCode": code,
        "startTimeUtc": _time(bundle.run.started),
        "toolExecutionNotifications": notices,
    }
    if bundle.run.ended is not None:
        invocation["endTimeUtc"] = _time(bundle.run.ended)
    return invocation


def _notice(ident: str, level: str, text: str) -> Json:
    return {
        "descriptor": {"id": ident},
        "level": level,
        "message": {"text": clean(shorten(text, 2000))},
    }


def _artifacts(bundle: Bundle) -> list[Json]:
    found = []
    for verdict in file_verdicts(bundle):
        if verdict.answer == "yes":
            continue
        artifact: Json = {
            "location": _artifact(verdict.target.uri),
            "roles": ["analysisTarget"],
        }
        digest = verdict.target.digest
        if digest and digest.startswith("sha256:"):
            artifact["hashes"] = {"sha-256": digest.removeprefix("sha256:")}
        size = verdict.measures.get("bytes")
        if isinstance(size, int):
            artifact["length"] = size
        found.append(artifact)
    return found[:SHOWN_RESULTS]


def _time(when: Any) -> str:
    return str(when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
