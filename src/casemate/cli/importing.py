"""`casemate import LOGS --as FORMAT`: past traffic becomes events, as if guarded."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    from casemate.workflows.importing import Imported


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "import",
        help="turn logs of past traffic into events; executes nothing",
        description="Read what other software logged of requests to models, and put it on record "
        "as if a guard had been there. Then: casemate detect.",
        epilog="casemate explain FORMAT shows what is read of a format. A path of --map begins "
        "with a dollar sign: $.user, $.a.b[0], $['x y']; anything else stands for itself.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logs", nargs="+", type=options.path, metavar="LOG", help="files, folders")
    parser.add_argument(
        "--as",
        dest="kind",
        required=True,
        metavar="FORMAT",
        help="kserve, sagemaker, mlflow, envoy, oip or jsonl",
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=PATH",
        help="where a record has something: principal=$.user, input=$.features; repeat it",
    )
    parser.add_argument(
        "--principal",
        metavar="KIND:NAME",
        help="who asks, where headers or bodies were logged: header:X-User, field:user",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Import, print, return the exit code."""
    import json

    from casemate.cli import terminal
    from casemate.guard.logs.paths import read_mapping
    from casemate.workflows import config, importing, serve
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    policy = serve.changed(loaded.config.guard, principal=args.principal)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet) as progress,
    ):
        found = importing.import_logs(
            args.logs,
            args.kind,
            loaded,
            workspace,
            fields=read_mapping(args.map),
            policy=policy,
            progress=progress,
        )
    if args.format == "json":
        print(json.dumps(importing.as_json(found), indent=1))
    else:
        _print(found)
    return found.exit_code


def _print(found: Imported) -> None:
    from casemate.cli.terminal import printable, table
    from casemate.workflows.hunting import moment

    if found.known:
        word = "was" if found.known == 1 else "were"
        print(f"{found.known} of {found.files} files {word} imported before; no event is doubled")
    if found.writer:
        when = ""
        if found.began is not None and found.ended is not None:
            when = f", {moment(found.began)} to {moment(found.ended)}"
        print(f"{found.events:,} events from {found.records:,} records{when}")
        models = ", ".join(found.models[:8]) + (" ..." if len(found.models) > 8 else "")
        print(f"models: {printable(models) or 'none named'}")
        print(f"principals: {found.principals:,}", end="")
        print(f"; {found.unknown:,} events with an unknown principal" * bool(found.unknown))
    if found.counts:
        print()
        rows = [
            (f"{count.times:,}", "missing" if count.lost else "noted", count.reason, count.first)
            for count in found.counts
        ]
        table(("times", "state", "what", "first at"), rows, wide=2)
    if found.exit_code:
        print("\nincomplete: what is missing stands on record as gaps")
