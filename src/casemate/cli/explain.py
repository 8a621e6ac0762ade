"""`casemate explain ID`: what a catalog entry is, why it matters, what it misses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from casemate.catalog.entries import Entry


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("explain", help="say what a catalog id is, and what it misses")
    parser.add_argument("id", nargs="?", help="attack, rule, mitigation, format, target, bar ...")
    parser.add_argument("--list", action="store_true", help="list every id with its title")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one entry, or the list of all."""
    from casemate.errors import UsageError

    if args.list or not args.id:
        if not args.list:
            raise UsageError(
                "explain what?", hint="casemate explain ID, or casemate explain --list"
            )
        return _list(args.format)
    from casemate.catalog.loader import find

    found = find(args.id)
    if args.format == "json":
        import msgspec

        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        return 0
    print("\n".join(_page(found)))
    return 0


def _list(form: str) -> int:
    from casemate.catalog.entries import KINDS
    from casemate.catalog.loader import entries

    found = {kind: entries(kind, shape) for kind, shape in KINDS.items()}
    if form == "json":
        import msgspec

        rows = [
            {"id": e.id, "kind": k, "title": e.title}
            for k, es in found.items()
            for e in es.values()
        ]
        sys.stdout.buffer.write(msgspec.json.encode(rows) + b"\n")
        return 0
    for kind, members in found.items():
        print(f"{kind}:")
        for member in members.values():
            print(f"  {member.id:<34} {member.title}")
    return 0


def _page(found: Entry) -> list[str]:
    import textwrap

    import msgspec

    body = msgspec.to_builtins(found)
    kind = {"bars": "bug bar", "advisories": "advisory"}.get(found.kind, found.kind.rstrip("s"))
    lines = [f"{found.id}: {found.title}", f"{kind}, {found.status}, since {found.since}", ""]

    def paragraph(head: str, text: str) -> None:
        if text:
            lines.append(head)
            for block in text.strip().split("\n\n"):
                lines.extend(textwrap.wrap(block, 92, initial_indent="  ", subsequent_indent="  "))
            lines.append("")

    paragraph("What and why", found.why)
    for key, head in _SECTIONS:
        value = body.get(key)
        if isinstance(value, list | tuple):
            value = ", ".join(str(item) for item in value)
        if isinstance(value, float):
            value = f"{value:g}"
        if isinstance(value, str):
            paragraph(head, value)
    if body.get("asks"):
        paragraph("It runs when all of these are answered yes", "\n\n".join(body["asks"].values()))
    if found.kind == "playbooks":
        lines += _steps(found)
    if body.get("params"):
        lines.append("Parameters (--set name=value)")
        for name, spec in body["params"].items():
            lines.append(f"  {name} = {spec['default']}  ({spec['type']}) {spec['help']}")
        lines.append("")
    paragraph("What it misses", found.misses)
    if found.refs:
        lines.append("References")
        lines.extend(f"  {_link(ref)}" for ref in found.refs)
    return lines


def _steps(found: Entry) -> list[str]:
    """Return the steps of a playbook, each with what is typed and how it is checked."""
    import textwrap

    from casemate.case.playbook import load
    from casemate.catalog.entries import Playbook

    lines = ["Steps"]
    steps = load(found).steps if isinstance(found, Playbook) else ()
    for number, step in enumerate(steps, 1):
        lines.append(f"  {number}. {step.phase}: {step.title} ({step.id})")
        told = [step.text, f"Good: {step.good}", f"Bad: {step.bad}"]
        told.insert(1, f"Check: {step.check}" if step.check else f"Answer: {step.question}")
        for text in told:
            lines.extend(textwrap.wrap(text, 92, initial_indent="     ", subsequent_indent="     "))
        lines.extend(f"       {command}" for command in step.commands)
        lines.append("")
    return lines


_SECTIONS = (
    ("severity", "Severity"),
    ("severity_why", "Why that severe"),
    ("confidence", "Confidence"),
    ("how", "How"),
    ("knowledge", "What the attacker needs to know"),
    ("needs", "What the target must give"),
    ("norms", "Norms"),
    ("cost", "Cost"),
    ("remedy", "Remedy"),
    ("mitigations", "Mitigations"),
    ("price", "Price"),
    ("formats", "Formats"),
    ("schemes", "URI schemes"),
    ("example", "Example"),
    ("suffixes", "Usual suffixes"),
    ("executes", "Loading it runs code"),
    ("threats", "For"),
    ("tag", "Machine tag"),
    ("rehearsed", "Rehearsed on"),
    ("law", "Law"),
    ("hours", "Hours from awareness"),
    ("to", "Who must be told"),
    ("evidence", "Evidence that casemate gives"),
    ("nist_ai_rmf", "NIST AI RMF 1.0"),
    ("eu_ai_act", "EU AI Act"),
    ("iso_42001", "ISO/IEC 42001:2023, Annex A"),
    ("soc2", "SOC 2 trust services criteria"),
)


def _link(ref: str) -> str:
    scheme, _, rest = ref.partition(":")
    prefix = {
        "arxiv": "https://arxiv.org/abs/",
        "atlas": "https://atlas.mitre.org/techniques/",
        "ghsa": "https://github.com/advisories/",
        "cve": "https://nvd.nist.gov/vuln/detail/",
    }.get(scheme)
    if scheme == "cwe":
        return f"CWE-{rest}  https://cwe.mitre.org/data/definitions/{rest}.html"
    if scheme == "url":
        return rest
    return f"{ref}  {prefix}{rest}" if prefix else ref
