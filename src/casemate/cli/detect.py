"""`casemate detect`: rules and judges over the events on record, of the past or as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

    from casemate.records.detection import Detection
    from casemate.workflows.hunting import First, Hunted


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "detect",
        help="look for attacks in the events on record, of the past or as they come",
        description="Look at the events that a guard recorded or an import made, and say whether "
        "they hold an attack, a drift, no attack, or too little to tell.",
    )
    parser.add_argument(
        "--since", metavar="TIME", help="48h, 7d or 2026-11-02T06:00Z (default: all there is)"
    )
    parser.add_argument(
        "--live", action="store_true", help="go on as events come, until interrupted"
    )
    parser.add_argument(
        "--from",
        dest="place",
        metavar="FOLDER",
        help="telemetry to look at (default: the guard's, .casemate/telemetry)",
    )
    parser.add_argument("--model", metavar="NAME", help="one model alone")
    parser.add_argument(
        "--bar",
        choices=("critical", "important", "moderate", "low"),
        default="moderate",
        help="detections at or above this give exit code 1 (default: moderate)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Hunt, print, return the exit code."""
    import json
    import time

    from casemate.cli import terminal
    from casemate.errors import UsageError
    from casemate.records.severity import Severity
    from casemate.workflows import config, hunting
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    since = None
    if args.since is not None:
        since = hunting.begin_of(args.since, time.time_ns() // 1000)
    if args.place is not None and "://" not in args.place and not options.path(args.place).is_dir():
        raise UsageError(f"{args.place} is not a folder of telemetry")
    with open_workspace(args.store, loaded) as workspace:
        if args.live:
            found = hunting.live(
                loaded, workspace, say=_line_of(args.format), place=args.place, since=since,
                model=args.model, bar=Severity(args.bar),
            )  # fmt: skip
        else:
            with terminal.progress(args.quiet) as progress:
                found = hunting.hunt(
                    loaded, workspace, place=args.place, since=since, model=args.model,
                    bar=Severity(args.bar), progress=progress,
                )  # fmt: skip
    if args.format == "json":
        whole = hunting.as_json(found)
        if args.live:
            whole.pop("detections")
        print(json.dumps(whole, indent=None if args.live else 1))
    else:
        _print(found, whole=not args.live)
    return found.exit_code


def _line_of(form: str) -> Any:
    import msgspec

    def say(one: Detection) -> None:
        if form == "json":
            print(msgspec.json.encode(one).decode(), flush=True)
        else:
            _show(one, None)

    return say


def _print(found: Hunted, *, whole: bool) -> None:
    from casemate.cli.terminal import printable

    if whole:
        for one in found.detections:
            _show(one, found.firsts.get(one.id))
    print(f"verdict: {found.word}")
    for reason in found.reasons:
        print(f"  {printable(reason)}")
    missing = f"; {found.lost:,} requests missing in {found.gaps} gaps" if found.gaps else ""
    print(f"{found.events:,} events looked at{missing}")


def _show(one: Detection, first: First | None) -> None:
    from casemate.cli.terminal import printable
    from casemate.workflows.hunting import moment

    marked = f"  (red-team run {one.marked})" if one.marked else ""
    print(f"{one.severity} {one.rule}  {printable(one.model)}{marked}")
    print(f"  {printable(one.message)}")
    began = first.at if first is not None else one.began
    where = f" at {first.source}" if first is not None and first.source else ""
    if one.principals:
        names = ", ".join(one.principals[:5])
        more = f" and {len(one.principals) - 5} more" if len(one.principals) > 5 else ""
        print(f"  principal: {printable(names)}{more}")
        noticed = f"; noticed at query {one.first_query:,}" if one.first_query else ""
        print(f"  first query: {moment(began)}{printable(where)}{noticed}")
        if first is not None and first.known is not None and first.known.id != first.id:
            seen = f" at {first.known.source}" if first.known.source else ""
            print(f"  seen since: {moment(first.known.at)}{printable(seen)}")
    else:
        print(f"  began: {moment(began)}{printable(where)}")
    print(f"  confidence: {one.confidence}")
    if one.next_steps:
        print(f"  next: {printable(one.next_steps[0])}")
    print(flush=True)
