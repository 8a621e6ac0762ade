"""`casemate vuln`: weaknesses with an id, a state and a score from what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

    from casemate.export.csaf import Publisher
    from casemate.records.vulnerability import Vulnerability

_STATES = ("reported", "confirmed", "mitigated", "fixed", "rejected", "duplicate")


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "vuln",
        help="track and score weaknesses, say whether you are affected, export advisories",
        description="Weaknesses with an id, a state and a score from measured facts.",
    )
    parts = parser.add_subparsers(metavar="WHAT", required=True)
    added = parts.add_parser("add", help="track a weakness, from something on record or in words")
    added.add_argument(
        "--from", dest="from_", metavar="ID", help="finding, trial, detection, campaign or case"
    )
    added.add_argument("--title", help="one line (default: from the record)")
    added.add_argument("--threat", metavar="TYPE", help="its type, as `casemate threats` names it")
    added.add_argument(
        "--affects", action="append", default=[], metavar="NAME", help="model, file or package"
    )
    added.add_argument(
        "--ref", action="append", default=[], metavar="REF", help="cve:..., cwe:..., url:..."
    )
    added.add_argument(
        "--separate", action="store_true", help="even when the same weakness is tracked already"
    )
    _facts(added)
    _done(added, run_add)
    listed = parts.add_parser("list", help="the weaknesses on record, the worst first")
    listed.add_argument("--state", choices=_STATES, help="only these")
    _done(listed, run_list, by=False)
    shown = parts.add_parser("show", help="one weakness: scores with reasons, proof, history")
    shown.add_argument("which", metavar="ID", nargs="?", default="latest")
    _done(shown, run_show, by=False)
    scored = parts.add_parser("score", help="score again with facts that are known now")
    scored.add_argument("which", metavar="ID")
    _facts(scored)
    _done(scored, run_score)
    moved = parts.add_parser("set", help="move a weakness to another state")
    moved.add_argument("which", metavar="ID")
    moved.add_argument("--state", choices=_STATES, required=True)
    moved.add_argument("--why", required=True, metavar="TEXT", help="what it rests on")
    moved.add_argument("--of", metavar="ID", help="for a duplicate: of which")
    moved.add_argument("--fixed-in", metavar="VERSION", help="what has the repair")
    _done(moved, run_set)
    asked = parts.add_parser("affected", help="am I affected? packages, files, models, endpoints")
    asked.add_argument("paths", nargs="*", metavar="FILE", help="model files and folders to scan")
    for name, what in (
        ("environment", "a Python environment (default: the one casemate runs in)"),
        ("requirements", "a requirements file"),
        ("sbom", "a bill of materials: CycloneDX or SPDX 2, JSON"),
        ("advisories", "a file or folder of further advisories in OSV's form"),
    ):
        asked.add_argument(
            f"--{name}", action="append", default=[], type=options.path, metavar="PATH", help=what
        )
    asked.add_argument("--vex", action="store_true", help="write the answers as VEX (CSAF 2.0)")
    asked.add_argument("--all", action="store_true", help="also what is not affected")
    _publisher(asked)
    options.add_quiet(asked)
    _done(asked, run_affected, by=False)
    exported = parts.add_parser("export", help="write a weakness or a case for others")
    exported.add_argument("which", metavar="ID", help="cmv-... or case-...")
    exported.add_argument("--to", required=True, choices=("csaf", "osv", "stix", "avid", "ocsf"))
    exported.add_argument(
        "--no-principals",
        action="store_true",
        help="stix, ocsf: name nobody who took part (the others never do)",
    )
    _publisher(exported)
    exported.set_defaults(run=run_export)
    options.add_config(exported)


def _publisher(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--publisher", metavar="NAME", help="who says so")
    parser.add_argument("--namespace", metavar="URI", help="an address of the publisher's")
    parser.add_argument(
        "-o", "--output", type=options.path, metavar="FILE", help="write there, not to stdout"
    )


def _facts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fact",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="success=0.4 queries=300 access=network assets=personal-data hurt=users "
        "authenticated=yes interaction=no targeted=yes exploited=active; `unknown` takes one away",
    )


def _done(parser: argparse.ArgumentParser, run: Any, *, by: bool = True) -> None:
    if by:
        parser.add_argument("--by", metavar="NAME", help="who (default: CASEMATE_USER, or you)")
    parser.add_argument("--json", action="store_true", help="write the record as JSON")
    options.add_config(parser)
    parser.set_defaults(run=run)


def run_add(args: argparse.Namespace) -> int:
    """Track one and print it."""
    from casemate.workflows import config, vulnerabilities
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        added = vulnerabilities.add(
            loaded,
            workspace,
            by=_by(args),
            from_=args.from_,
            threat=args.threat,
            title=args.title,
            given=_given(args.fact),
            affected=args.affects,
            refs=args.ref,
            separate=args.separate,
        )
    if not args.json:
        word = "tracked" if added.new else "already tracked; what was seen is added to it"
        print(f"{added.vulnerability.id}: {word}")
    return _show(added.vulnerability, args.json)


def run_list(args: argparse.Namespace) -> int:
    """Print a line per weakness."""
    from casemate.cli import terminal
    from casemate.workflows import config, vulnerabilities
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        found = vulnerabilities.listed(workspace, state=args.state)
    if args.json:
        _json(found)
        return 0
    if not found:
        print("nothing is tracked; casemate vuln add --from FINDING begins")
        return 0
    terminal.table(
        ("id", "bar", "cvss 4.0", "ssvc", "state", "affects", "title"),
        [
            (
                one.id,
                _level(one, "bug-bar"),
                _level(one, "cvss-4.0"),
                _level(one, "ssvc"),
                one.state,
                ", ".join(it.name for it in one.affected[:3]),
                one.title,
            )
            for one in found
        ],
        wide=6,
    )
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print one."""
    from casemate.store.vulnerabilities import VulnerabilityBook
    from casemate.workflows import config
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        found = VulnerabilityBook(workspace).get(args.which)
    return _show(found, args.json)


def run_score(args: argparse.Namespace) -> int:
    """Score one again and print it."""
    from casemate.workflows import config, vulnerabilities
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        found = vulnerabilities.score(workspace, args.which, by=_by(args), given=_given(args.fact))
    return _show(found, args.json)


def run_set(args: argparse.Namespace) -> int:
    """Move one and print it."""
    from casemate.workflows import config, vulnerabilities
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        found = vulnerabilities.move(
            workspace,
            args.which,
            args.state,
            by=_by(args),
            why=args.why,
            of=args.of,
            fixed=args.fixed_in,
        )
    return _show(found, args.json)


def run_affected(args: argparse.Namespace) -> int:
    """Answer, and return 1 where something is affected, 3 where that cannot be told."""
    from casemate.cli import affected

    return affected.run(args, _named(args))


def run_export(args: argparse.Namespace) -> int:
    """Write one."""
    from casemate.cli import affected
    from casemate.workflows import config, vulnerabilities
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        body = vulnerabilities.export(
            workspace,
            args.which,
            args.to,
            publisher=_named(args),
            principals=not args.no_principals,
        )
    affected.write(body, args.output)
    return 0


def _named(args: argparse.Namespace) -> Publisher:
    from casemate.export.csaf import Publisher

    default = Publisher()
    return Publisher(args.publisher or default.name, args.namespace or default.namespace)


def _show(one: Vulnerability, as_json: bool) -> int:
    from casemate.cli.terminal import printable

    if as_json:
        _json(one)
        return 0
    print(f"{one.id}  {printable(one.title)}")
    print(f"  {one.threat}, {one.state}, reported by {printable(one.reporter)}")
    if one.duplicate_of:
        print(f"  duplicate of {one.duplicate_of}")
    if one.summary:
        print(f"  {printable(one.summary)}")
    print("affects")
    for thing in one.affected:
        fixed = f", fixed in {thing.fixed}" if thing.fixed else ""
        print(f"  {printable(thing.name)}{printable(fixed)}")
    for score in one.scores:
        value = "" if score.value is None else f" {score.value:.1f}"
        print(f"{score.scheme}:{value} {score.level}  {score.vector or ''}".rstrip())
        for reason in score.because:
            print(f"  - {printable(reason)}")
    if one.proof:
        print(f"proof\n  {printable(', '.join(one.proof))}")
    if one.remedy:
        print(f"what to do\n  {printable(one.remedy)}")
    print("history")
    for note in one.notes:
        print(f"  {printable(note)}")
    return 0


def _level(one: Vulnerability, scheme: str) -> str:
    found = next((it for it in one.scores if it.scheme == scheme), None)
    if found is None:
        return "-"
    return found.level if found.value is None else f"{found.value:.1f} {found.level}"


def _json(found: object) -> None:
    import msgspec

    print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


def _given(pairs: list[str]) -> dict[str, str]:
    from casemate.errors import UsageError

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"'{pair}' is no fact", hint="--fact success=0.4")
        found[name.strip()] = value
    return found


def _by(args: argparse.Namespace) -> str:
    from casemate.workflows.custody import author

    return args.by or author()
