"""`casemate assess`: scan, threats, attack and gate in one job, planned to fit the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "assess",
        help="scan, attack and judge in one job; runs the model's code",
        description="Scan the artifacts, derive the threats, attack the model and judge it by the "
        "bar. This opens and runs the model that casemate.toml or TARGET names. Interrupted or "
        "repeated, it goes on from what is kept.",
    )
    parser.add_argument("target", nargs="?", help="target URI (default: casemate.toml's)")
    parser.add_argument("--data", help="data to attack with (default: casemate.toml's)")
    parser.add_argument("--label", metavar="COLUMN", help="label column of a table")
    parser.add_argument(
        "--time", type=options.duration, default=300.0, metavar="5m", help="time for the whole job"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument(
        "--against", metavar="RUN|FILE", help="baseline file or run to compare with"
    )
    parser.add_argument("--fresh", action="store_true", help="measure again what is kept already")
    options.add_format(parser)
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Assess, print the verdict, write the report, return the exit code."""
    from casemate.cli import terminal
    from casemate.cli.attack import show_trials
    from casemate.cli.gate import show
    from casemate.workflows import config
    from casemate.workflows.assess import assess

    with terminal.progress(args.quiet) as progress:
        done = assess(
            args.target,
            data=args.data,
            label=args.label,
            minutes=args.time / 60,
            device=args.device,
            against=args.against,
            configuration=args.config,
            store=args.store,
            fresh=args.fresh,
            progress=progress,
        )
    if args.format != "text" or args.output is not None:
        form = "html" if args.format == "text" else args.format
        terminal.emit(done.bundle, form, args.output)
        return done.exit_code
    show(done.verdict)
    for note in done.bundle.run.notes:
        if "was not tried:" not in note:
            print(f"  note: {terminal.printable(note)}")
    print()
    show_trials(done.bundle.trials)
    loaded = config.read(args.config)
    path = (args.store or loaded.root / ".casemate") / f"{done.bundle.run.id}.html"
    print()
    terminal.emit(done.bundle, "html", path)
    return done.exit_code
