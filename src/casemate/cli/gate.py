"""`casemate gate`: does a run meet the bar? `casemate gate accept`: make it the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse

    from casemate.records.verdict import Verdict

_WORDS = {"yes": "PASS", "no": "FAIL", "cannot-tell": "CANNOT TELL"}


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "gate",
        help="judge a run by the bug bar and the baseline; exit code for CI",
        description="Judge a kept run by the bug bar and against the accepted baseline. "
        "`gate accept [RUN] --reason TEXT` makes a run the baseline.",
    )
    parser.add_argument("words", nargs="*", metavar="[accept] [RUN]", help="default: latest run")
    parser.add_argument(
        "--against", metavar="RUN|FILE", help="baseline file or run to compare with"
    )
    parser.add_argument("--reason", help="with accept: why this state is acceptable")
    parser.add_argument("--by", metavar="NAME", help="with accept: who accepts (default: you)")
    options.add_format(parser)
    options.add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge or accept."""
    from casemate.cli import terminal
    from casemate.errors import UsageError
    from casemate.workflows import config, gating
    from casemate.workflows.job import open_workspace

    accepting = args.words[:1] == ["accept"]
    rest = args.words[1:] if accepting else args.words
    if len(rest) > 1:
        raise UsageError(f"one run at a time, not {len(rest)}")
    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        found = workspace.run(rest[0] if rest else "latest")
        if accepting:
            path, made = gating.accept(
                found, workspace, loaded, reason=args.reason or "", by=args.by or _who()
            )
            print(f"wrote {path}: {found.id}, accepted by {made.accepted_by}")
            print("commit it; casemate gate compares with it from now on")
            return 0
        gated = gating.gate_run(found, workspace, loaded, against=args.against)
        if args.format == "text" and args.output is None:
            show(gated.verdict)
        else:
            form = "md" if args.format == "text" else args.format
            terminal.emit(gated.bundle, form, args.output)
        return gated.exit_code


def show(verdict: Verdict) -> None:
    """Print a verdict and its reasons."""
    from casemate.cli.terminal import printable

    print(f"{_WORDS[verdict.answer]}  {printable(verdict.target.uri)}")
    for reason in verdict.reasons:
        print(f"  - {printable(reason)}")


def _who() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
