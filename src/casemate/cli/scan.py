"""`casemate scan PATH...`: what loading these files would do, without loading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

    from casemate.export.report import Bundle

_WORD = {"yes": "clean", "no": "findings", "cannot-tell": "incomplete"}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "scan",
        help="look for what loading model files would run; executes nothing",
        description="Scan model files and folders. Nothing scanned is imported, unpickled or run.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files and folders")
    parser.add_argument(
        "--bar",
        choices=("critical", "important", "moderate", "low"),
        default="moderate",
        help="findings at or above this give exit code 1 (default: moderate)",
    )
    parser.add_argument("--no-store", action="store_true", help="keep no record of this run")
    options.add_format(parser)
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Scan, print, return the exit code."""
    from casemate.cli import terminal
    from casemate.errors import StoreError, UsageError
    from casemate.records.severity import Severity
    from casemate.workflows import config, scanning
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    workspace = None
    if not args.no_store:
        try:
            workspace = open_workspace(args.store, loaded)
        except StoreError:
            if args.store is not None:
                raise  # asked for by name; otherwise a scan of a read-only place still scans
    with terminal.progress(args.quiet) as progress:
        scanned = scanning.scan_paths(
            args.paths, loaded, workspace=workspace, bar=Severity(args.bar), progress=progress
        )
    if not scanned.bundle.verdicts:
        raise UsageError("there is no file to scan in " + ", ".join(args.paths))
    if args.format == "text" and args.output is None:
        _print(scanned.bundle)
    else:
        terminal.emit(scanned.bundle, "md" if args.format == "text" else args.format, args.output)
    return scanned.exit_code


def _print(bundle: Bundle) -> None:
    from casemate.cli.terminal import printable, table

    counts = dict.fromkeys(_WORD.values(), 0)
    rows = []
    for verdict in bundle.verdicts:
        word = _WORD[verdict.answer]
        counts[word] += 1
        if word != "clean" or len(bundle.verdicts) <= 20:
            why = verdict.reasons[0] if verdict.reasons else ""
            rows.append((word, str(verdict.measures.get("format") or "?"), verdict.target.uri, why))
    if rows:
        table(("verdict", "format", "file", "why"), rows, wide=3)
    for finding in bundle.findings:
        place = finding.location
        where = finding.target.uri
        if place and place.member:
            where += f" > {place.member}"
        if place and place.offset is not None:
            where += f" @{place.offset}"
        print(f"\n{finding.severity} {finding.rule}  {printable(where)}")
        print(f"  {printable(finding.message)}")
        for seen in finding.evidence[:1]:
            for line in (seen.excerpt or "").splitlines()[:6]:
                print(f"    {printable(line)}")
        print(f"  fix: {printable(finding.remedy)}")
        if finding.fingerprint in bundle.waived:
            print(f"  waived: {printable(bundle.waived[finding.fingerprint])}")
    for note in bundle.run.notes:
        print(f"\nnote: {printable(note)}")
    total = len(bundle.verdicts)
    print(
        f"\n{total} {'file' if total == 1 else 'files'}: {counts['clean']} clean, "
        f"{counts['findings']} with findings, {counts['incomplete']} incomplete"
    )
