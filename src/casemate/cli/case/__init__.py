"""`casemate case`: from an alarm to a closed case, one sub-verb for each thing a responder does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

_PAPERS = ("serious-incident", "data-breach", "advisory-note")
_EPILOG = """\
the usual night:
  casemate case open --from latest         what happened, and the evidence is frozen
  casemate case contain 1 --action throttle --for 4h
  casemate case playbook 1                 the next step, and what to answer
  casemate case handover 1                 for whoever comes next
  casemate case close 1 --why "..."
  casemate case bundle 1                   evidence that anyone can verify
CASE is an id, its number, or latest.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb and its sub-verbs."""
    import argparse

    parser = verbs.add_parser(
        "case",
        help="handle an incident: open, contain, follow the playbook, hand over, close, prove",
        description="Handle an incident from its alarm to its closure. What is done goes on the "
        "case's custody log. Nothing here runs a model.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subs = parser.add_subparsers(metavar="ACTION", required=True)
    _opening(subs)
    _looking(subs)
    _containing(subs)
    _playbook(subs)
    _writing(subs)
    _ending(subs)


def _opening(subs: Any) -> None:
    one = _sub(subs, "open", "open a case: freeze the evidence, say what happened", case=False)
    one.add_argument(
        "--from", dest="sources", action="append", default=[], metavar="ID",
        help="detection, campaign, finding, trial, event or redteam run; latest is the newest "
        "detection (may be given again)",
    )  # fmt: skip
    one.add_argument(
        "--since", metavar="TIME", help="without --from: look at all events since 24h, 7d, a time"
    )
    one.add_argument("--model", metavar="NAME", help="one model alone")
    one.add_argument(
        "--telemetry", metavar="FOLDER", help="where the events are (default: the workspace's)"
    )
    one.add_argument("--title", metavar="TEXT", help="default: made of the triage")
    one.add_argument("--type", dest="threat", metavar="THREAT", help="handle it as this type")
    one.add_argument(
        "--aware", metavar="TIME",
        help="when the organisation learned of it: clocks of the law begin then (default: when it "
        "was detected)",
    )  # fmt: skip
    one.add_argument(
        "--copy", choices=("background", "now", "later"), default="background",
        help="when files and events are copied (default: background)",
    )  # fmt: skip
    _acting(one, "open_case")
    one = _sub(subs, "collect", "copy the evidence that was only frozen")
    _acting(one, "collect")
    one = _sub(subs, "list", "list the cases", case=False)
    one.add_argument("--all", action="store_true", help="closed ones too")
    _reading(one, "list_cases")


def _looking(subs: Any) -> None:
    one = _sub(subs, "show", "what, which model, who, since when, how sure, what next")
    one.add_argument("--watch", action="store_true", help="again whenever it changes")
    one.add_argument("--log", action="store_true", help="the whole custody log")
    one.add_argument("--evidence", action="store_true", help="every item of evidence")
    _reading(one, "show")
    one = _sub(subs, "radius", "which data, models, deployments, decisions and people it reaches")
    one.add_argument("--data", metavar="FILE", help="contaminated data: a CSV, Parquet or npz file")
    one.add_argument(
        "--rows", metavar="FILTER", help="only these rows of it: column=value, or a range 10-90"
    )
    one.add_argument(
        "--node", action="append", default=[], metavar="NODE",
        help="begin at this node of the lineage: an id, a name or a digest (may be given again)",
    )  # fmt: skip
    _acting(one, "radius")
    one.add_argument("--format", choices=("text", "json"), default="text")


def _containing(subs: Any) -> None:
    one = _sub(subs, "contain", "limit the damage, for a time; undo it when you like")
    one.add_argument(
        "--action", required=True,
        choices=("coarsen", "throttle", "last-good", "block", "review"),
        help="coarsen: rounded scores; throttle: few requests; last-good: the version before; "
        "block: refuse; review: a person decides",
    )  # fmt: skip
    one.add_argument(
        "--for", dest="for_", default="4h", metavar="TIME", help="30m, 4h, 2d (default: 4h)"
    )
    one.add_argument(
        "--reach", choices=("suspects", "model", "everybody"), default="suspects",
        help="whom it reaches (default: the suspects of the triage)",
    )  # fmt: skip
    one.add_argument(
        "--principal", action="append", default=[], metavar="NAME",
        help="this one instead of the suspects (may be given again)",
    )  # fmt: skip
    one.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NAME=VALUE",
        help="per_minute=2, decimals=0, upstream=http://... (may be given again)",
    )  # fmt: skip
    one.add_argument("--approver", metavar="NAME", help="who allowed it")
    one.add_argument(
        "--mlflow", metavar="URL",
        help="last-good: set the alias of the model back in this MLflow registry",
    )  # fmt: skip
    one.add_argument("--to", metavar="VERSION", help="with --mlflow: to this version")
    one.add_argument(
        "--patch", type=options.path, metavar="FILE",
        help="where no guard stands: print the exact change of this nginx, Envoy or KServe file",
    )  # fmt: skip
    one.add_argument("--dry-run", action="store_true", help="say what it would do, and do nothing")
    one.add_argument(
        "--emergency", action="store_true", help="before evidence is frozen; goes on record"
    )
    _acting(one, "contain")
    one = _sub(subs, "undo", "end a containment at once")
    one.add_argument("--order", metavar="ID", help="this one alone (default: all of the case)")
    one.add_argument("--why", required=True, metavar="TEXT", help="the reason")
    _acting(one, "undo")


def _playbook(subs: Any) -> None:
    one = _sub(subs, "playbook", "the steps for this type of attack, with their checks")
    one.add_argument("--step", metavar="STEP", help="this step (default: the next open one)")
    one.add_argument("--answer", metavar="TEXT", help="what you found, for a step that asks")
    one.add_argument("--skip", metavar="WHY", help="leave the step out, with the reason")
    one.add_argument("--all", action="store_true", help="run every check that a machine can")
    one.add_argument(
        "--dry-run", action="store_true", help="rehearse the playbook on a simulated incident"
    )
    one.add_argument(
        "--import", dest="import_file", type=options.path, metavar="FILE",
        help="follow this CACAO 2.0 playbook instead",
    )  # fmt: skip
    one.add_argument(
        "--export", type=options.path, metavar="FILE", help="write the playbook as CACAO 2.0"
    )
    _acting(one, "playbook")
    one = _sub(subs, "check", "make one check of a playbook; nothing goes on record")
    one.add_argument("name", metavar="CHECK", help="as playbooks name it: order-in-force ...")
    one.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="what the check needs")
    _reading(one, "check")


def _writing(subs: Any) -> None:
    one = _sub(subs, "note", "put a remark on the log")
    one.add_argument("text", metavar="TEXT")
    _acting(one, "note")
    one = _sub(subs, "assign", "give the case to somebody")
    one.add_argument("owner", metavar="NAME")
    _acting(one, "assign")
    one = _sub(subs, "tell", "answer what papers and clocks ask: people_affected=120")
    one.add_argument("facts", nargs="+", metavar="NAME=VALUE")
    _acting(one, "tell")
    one = _sub(subs, "retype", "handle it as another type of attack")
    one.add_argument("threat", metavar="THREAT")
    _acting(one, "retype")
    for name, what in (
        ("handover", "write what whoever comes next must know"),
        ("postmortem", "write what happened and what is learnt"),
    ):
        one = _sub(subs, name, what)
        _acting(one, "paper")
        one.set_defaults(kind=name)
    one = _sub(subs, "paper", "write another paper: " + ", ".join(_PAPERS))
    one.add_argument("kind", choices=_PAPERS)
    _acting(one, "paper")


def _ending(subs: Any) -> None:
    one = _sub(subs, "close", "close the case")
    one.add_argument("--why", required=True, metavar="TEXT", help="how it ended")
    _acting(one, "close")
    one = _sub(subs, "reopen", "open a closed case again")
    one.add_argument("--why", required=True, metavar="TEXT", help="the reason")
    _acting(one, "reopen")
    one = _sub(subs, "bundle", "pack evidence that anyone can verify, offline and without casemate")
    one.add_argument(
        "-o", "--output", type=options.path, metavar="FOLDER",
        help="default: the case's id, in this folder",
    )  # fmt: skip
    one.add_argument(
        "--redact", action="append", default=[], metavar="FIELDS",
        help="fields that hold personal data, with commas: principal,session,name",
    )  # fmt: skip
    one.add_argument(
        "--withhold", action="append", default=[], metavar="ITEMS",
        help="items to leave out, by name or pattern; the rest still verifies",
    )  # fmt: skip
    _acting(one, "bundle")


def _sub(subs: Any, name: str, what: str, *, case: bool = True) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = subs.add_parser(name, help=what, description=what)
    if case:
        made.add_argument("case", metavar="CASE", help="id, number or latest")
    return made


def _acting(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument(
        "--by", metavar="NAME", help="who does it (default: CASEMATE_USER, else your account)"
    )
    _common(parser, action)


def _reading(parser: argparse.ArgumentParser, action: str) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    _common(parser, action)


def _common(parser: argparse.ArgumentParser, action: str) -> None:
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=_run, action_name=action)


def _run(args: argparse.Namespace) -> int:
    """Do what the sub-verb says and return the exit code."""
    from casemate.cli.case import acting

    return int(getattr(acting, args.action_name)(args))
