"""`casemate threats`: which catalog attacks apply to this System, why, and how severe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "threats", help="list the attacks that apply to this system, and why; executes nothing"
    )
    options.add_format(parser)
    options.add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Derive the threats and print them."""
    from casemate.cli import terminal
    from casemate.workflows import config, modelling
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        bundle = modelling.model_threats(loaded, workspace)
    if args.format != "text" or args.output is not None:
        terminal.emit(bundle, "md" if args.format == "text" else args.format, args.output)
        return 0
    rows = [
        (t.severity.value, t.attack, t.component, "tried" if t.covered_by else "not tried", t.why)
        for t in bundle.threats
    ]
    terminal.table(("severity", "attack", "component", "state", "why"), rows, wide=4)
    print(f"\n{len(rows)} threats; casemate explain ATTACK says more, casemate assess tries them")
    return 0
