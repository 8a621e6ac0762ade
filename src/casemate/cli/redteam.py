"""`casemate redteam`: catalog attacks against a live endpoint, and what its guard saw of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

_EPILOG = """\
A scope is a TOML file that says what may be attacked, and that somebody with authority has signed:

  version = 1
  name = "digits, staging"
  approver = "A. Name"
  hosts = ["127.0.0.1:9090"]
  not_before = 2026-01-01T00:00:00Z
  not_after = 2026-01-31T00:00:00Z
  rate = 200          # most inputs a second
  spend = 100000      # most inputs in all, over every run

casemate redteam --sign scope.toml signs it and prints the key to trust in casemate.toml.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    import argparse

    parser = verbs.add_parser(
        "redteam",
        help="attack a live endpoint within a signed scope; say what its guard saw",
        description="Run catalog attacks against a live endpoint you may attack, beside simulated "
        "users, and look for each in the telemetry and the detections.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--target", help="endpoint URI (default: casemate.toml's)")
    parser.add_argument(
        "--scope", type=options.path, metavar="FILE", help="what may be attacked, signed"
    )
    parser.add_argument(
        "--sign", type=options.path, metavar="FILE", help="sign a scope, and do no more"
    )
    parser.add_argument("--key", type=options.path, metavar="FILE", help="private key to sign with")
    parser.add_argument(
        "--budget", type=int, default=5000, metavar="N", help="inputs all attacks may send (5000)"
    )
    parser.add_argument(
        "--attack", action="append", default=[], metavar="ID", help="this one; may be repeated"
    )
    parser.add_argument("--inputs", type=int, default=5, metavar="N", help="inputs to change (5)")
    parser.add_argument("--after", metavar="URI", help="the same model behind an enforcing guard")
    parser.add_argument("--data", help="data to attack with (default: casemate.toml's)")
    parser.add_argument("--label", metavar="COLUMN", help="label column of a table")
    parser.add_argument("--users", type=int, default=5, metavar="N", help="simulated users (5)")
    parser.add_argument(
        "--principal", metavar="header:NAME", help="how callers are told apart (casemate.toml's)"
    )
    parser.add_argument(
        "--as", dest="account", metavar="NAME",
        help="caller that the attacks go as (default: one of their own for each)",
    )  # fmt: skip
    parser.add_argument(
        "--telemetry", metavar="PLACE", help="the guard's events (default: the workspace's)"
    )
    parser.add_argument(
        "--after-telemetry", metavar="PLACE", help="the enforcing guard's events, if its own"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    options.add_format(parser)
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sign a scope, or attack within one and print the coverage table."""
    from casemate.cli import terminal
    from casemate.errors import UsageError
    from casemate.store.keys import key_folder
    from casemate.workflows import config, redteaming, scope
    from casemate.workflows.job import open_workspace

    if args.sign is not None:
        where, public = scope.sign(args.sign, args.key or key_folder(os.environ) / "approver.key")
        print(f"signed: {where}")
        print("trust it in casemate.toml:")
        print(f'  [redteam]\n  approvers = ["{public}"]')
        return 0
    if args.scope is None:
        raise UsageError(
            "an exercise needs a scope", hint="casemate redteam --help shows what one says"
        )
    for name in ("budget", "inputs"):
        if getattr(args, name) < 1:
            raise UsageError(f"--{name} {getattr(args, name)} is less than 1")
    loaded = config.read(args.config)
    target = args.target or loaded.config.model.target
    if not target or "://" not in target:
        raise UsageError("there is no endpoint to attack", hint="--target http+oip://host:port/...")
    plan = redteaming.Plan(
        target=target,
        attacks=tuple(args.attack) or redteaming.fitting(loaded, args.data, args.label),
        budget=args.budget,
        inputs=args.inputs,
        after=args.after,
        data=args.data,
        label=args.label,
        principal=redteaming.principal_header(loaded, args.principal),
        users=max(0, args.users),
        seed=args.seed,
        watched=redteaming.watched_of(args.telemetry),
        account=args.account,
    )
    signed = scope.check(args.scope, loaded.config.redteam.approvers)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet) as progress,
    ):
        found = redteaming.exercise(
            loaded,
            plan,
            signed,
            mark=redteaming.marker(signed.scope, workspace.folder),
            telemetry=redteaming.telemetry_of(loaded, workspace, args.telemetry),
            telemetry_after=redteaming.telemetry_at(args.after_telemetry),
            workspace=workspace,
            progress=progress,
        )
        if args.format != "text" or args.output is not None:
            form = "md" if args.format == "text" else args.format
            terminal.emit(found.bundle, form, args.output)
    if args.format == "text" and args.output is None:
        from casemate.export.sightings import HEAD, sightings

        terminal.table(HEAD, [row[:-1] for row in sightings(found.trials)])
        for note in found.bundle.run.notes:
            print(f"note: {terminal.printable(note)}")
    return found.exit_code
