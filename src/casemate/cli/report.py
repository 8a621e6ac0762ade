"""`casemate report [RUN]`: write a kept run as html, json, md, sarif or junit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("report", help="write a run as html, json, md, sarif or junit")
    parser.add_argument("which", nargs="?", default="latest", metavar="RUN", help="default: latest")
    parser.add_argument("--format", choices=options.formats(), default="html")
    parser.add_argument("-o", "--output", metavar="FILE", help="`-` for stdout")
    parser.add_argument("--open", action="store_true", help="open the report in a browser")
    parser.add_argument("--list", action="store_true", help="list the runs kept")
    options.add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the report and say where it is."""
    from pathlib import Path

    from casemate.cli import terminal
    from casemate.workflows import config, gating
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        if args.list:
            rows = [
                (r.id, f"{r.started:%Y-%m-%d %H:%M}", r.verb, r.state, r.target or "")
                for r in workspace.runs()
            ]
            terminal.table(("run", "started", "verb", "state", "target"), rows)
            return 0
        found = workspace.run(args.which)
        bundle = gating.shown(found, workspace, loaded)
        if args.output == "-" or (args.output is None and args.format != "html"):
            terminal.emit(bundle, args.format, None)
            return 0
        path = Path(args.output) if args.output else workspace.folder / f"{found.id}.html"
        terminal.emit(bundle, args.format, path)
    if args.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0
