"""`casemate rules list|test|convert`: the detections as Sigma rules, for the SIEM at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "rules",
        help="list, test and convert the Sigma rules for a SIEM",
        description="The detections that can be written as Sigma rules over the guard's events.",
    )
    parts = parser.add_subparsers(metavar="WHAT", required=True)
    listed = parts.add_parser("list", help="every detection, and which of them are Sigma rules")
    listed.set_defaults(run=run_list)
    tested = parts.add_parser("test", help="run each rule on events it must and must not fire on")
    tested.add_argument("rule", nargs="*", help="only these")
    tested.set_defaults(run=run_test)
    converted = parts.add_parser("convert", help="write rules as queries of a SIEM")
    converted.add_argument("rule", nargs="*", help="only these")
    converted.add_argument("--to", required=True, choices=("splunk", "esql", "kusto", "sqlite"))
    converted.set_defaults(run=run_convert)


def run_list(args: argparse.Namespace) -> int:  # noqa: ARG001 - every verb takes them
    """Print a line per detection."""
    from casemate.catalog import loader
    from casemate.catalog.entries import Detector
    from casemate.cli import terminal

    known = loader.entries("detections", Detector).values()
    terminal.table(
        ("detection", "severity", "pages", "sigma", "title"),
        [
            (
                one.id,
                one.severity.value,
                "yes" if one.pages else "no",
                "yes" if one.body else "-",
                one.title,
            )
            for one in known
        ],
    )
    return 0


def run_test(args: argparse.Namespace) -> int:
    """Run the cases and print those that fail; 1 when one does."""
    from casemate.workflows import rules

    tried = [one for rule in rules.sigma_rules(args.rule) for one in rules.test(rule)]
    for one in tried:
        word = "ok    " if one.passed else "FAILED"
        must = "fires" if one.case.fires else "quiet"
        print(f"{word} {one.rule}: {must} on {one.case.why}")
    failed = sum(not one.passed for one in tried)
    print(f"{len(tried)} cases run in SQLite, {failed} failed")
    return 1 if failed else 0


def run_convert(args: argparse.Namespace) -> int:
    """Print the queries."""
    from casemate.workflows import rules

    print("\n".join(rules.convert(one, args.to) for one in rules.sigma_rules(args.rule)), end="")
    return 0
