"""`casemate lineage record|import|match|deploy|show`: what models are made from, and what of it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from casemate.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casemate.lineage.graph import Branch
    from casemate.records.edge import Node


def add_parser(verbs: Any) -> None:
    """Add the verb and its own."""
    parser = verbs.add_parser(
        "lineage",
        help="record what models are made from, import it, show it",
        description="What came from what: rows, data sets, runs, models, versions, deployments. "
        "`record` runs your command; nothing else here runs anything.",
    )
    own = parser.add_subparsers(metavar="VERB", required=True)
    _add_record(own)
    _add_import(own)
    _add_match(own)
    _add_deploy(own)
    _add_show(own)


def _add_record(own: Any) -> None:
    parser = own.add_parser(
        "record",
        help="run a training command and record what it read and wrote",
        description="Run a command and record the files it and its children read and wrote, the "
        "code, packages and seeds it used and how it ended. The exit code is the command's.",
    )
    parser.add_argument(
        "--data", action="append", default=[], type=options.path, metavar="PATH",
        help="data it learns from, whether or not it is seen to read it; repeat it",
    )  # fmt: skip
    parser.add_argument(
        "--out", action="append", default=[], metavar="GLOB",
        help="files it writes, whether or not it is seen to; repeat it",
    )  # fmt: skip
    parser.add_argument(
        "--parent", action="append", default=[], metavar="MODEL",
        help="model it starts from: a file or a node of the lineage; repeat it",
    )  # fmt: skip
    parser.add_argument(
        "--watch", choices=("auto", "calls", "python", "none"), default="auto",
        help="how to see what it opens: system calls (Linux), Python alone, or declared files "
        "alone (default: the first that can be had)",
    )  # fmt: skip
    parser.add_argument(
        "--row-digests", action="store_true",
        help="keep a digest of each row of its data, to find contaminated rows by",
    )  # fmt: skip
    options.add_config(parser)
    options.add_quiet(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    parser.set_defaults(run=_record)


def _add_import(own: Any) -> None:
    parser = own.add_parser(
        "import",
        help="read the lineage that other software kept; executes nothing",
        description="Read runs, data sets, models and versions from an MLflow server, database or "
        "folder, a DVC project, model cards, or a CycloneDX ML-BOM.",
    )
    parser.add_argument("kind", choices=("mlflow", "dvc", "hf", "mlbom"))
    parser.add_argument("place", metavar="PLACE", help="file, folder or URL")
    parser.add_argument(
        "--artifacts", type=options.path, metavar="DIR", help="where its artifacts are kept"
    )
    parser.add_argument(
        "--data", type=options.path, metavar="DIR", help="below which data files may be hashed"
    )
    parser.add_argument("--name", help="tells two sources of the same kind apart")
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=_import)


def _add_match(own: Any) -> None:
    parser = own.add_parser(
        "match",
        help="propose steps nobody recorded, from what files hold",
        description="Compare tables and weights with one another: rows and columns they share, "
        "tensors that lie close together. What is probable goes into the lineage as a proposal, "
        "with how sure it is and why. Nothing is loaded or run.",
    )
    parser.add_argument(
        "places", nargs="+", type=options.path, metavar="PATH", help="files and folders"
    )
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=_match)


def _add_deploy(own: Any) -> None:
    parser = own.add_parser(
        "deploy",
        help="say which model answers under a name, and since when",
        description="Put on record that a model, version or alias answers under the name that "
        "events of the guard carry, so that its decisions can be counted.",
    )
    parser.add_argument("node", metavar="MODEL", help="id, name, path or digits of a digest")
    parser.add_argument("--as", dest="name", required=True, metavar="NAME", help="fraud")
    parser.add_argument("--version", help="as events carry it (default: any)")
    parser.add_argument("--since", metavar="TIME", help="48h or 2026-11-02T06:00Z (default: now)")
    parser.add_argument("--by", metavar="WHO", help="who says so (default: CASEMATE_USER, or you)")
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=_deploy)


def _add_show(own: Any) -> None:
    parser = own.add_parser(
        "show",
        help="show what is known, or what a node came from and led to",
    )
    parser.add_argument(
        "node", nargs="?", metavar="NODE", help="id, name, path or first digits of a digest"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    options.add_config(parser)
    options.add_quiet(parser)
    parser.set_defaults(run=_show)


def _record(args: argparse.Namespace) -> int:
    import sys

    from casemate.cli.terminal import printable
    from casemate.workflows import config, lineage
    from casemate.workflows.job import open_workspace

    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    loaded = config.read(args.config)

    def say(text: str) -> None:
        print(f"casemate: {printable(text)}", file=sys.stderr, flush=True)

    with open_workspace(args.store, loaded) as workspace:
        done = lineage.record_run(
            loaded, workspace, command, data=args.data, out=args.out, parents=args.parent,
            how=args.watch, row_digests=args.row_digests, say=say,
        )  # fmt: skip
    if not args.quiet:
        kinds = [one.kind for one in done.lineage.nodes]
        counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        say(f"recorded {done.run}: {counted}")
        for note in done.lineage.notes:
            say(f"not seen: {note}")
        say(f"casemate lineage show {done.run}")
    return done.exit_code


def _import(args: argparse.Namespace) -> int:
    from casemate.cli.terminal import printable
    from casemate.workflows import config, lineage
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        given = {"artifacts": args.artifacts, "data": args.data, "name": args.name}
        kept = lineage.import_(
            loaded, workspace, args.kind, args.place,
            **{option: value for option, value in given.items() if value is not None},
        )  # fmt: skip
    found = kept.lineage
    print(f"{len(found.nodes)} nodes, {len(found.edges)} edges; {kept.fresh} of them new")
    for note in found.notes:
        print(f"  {printable(note)}")
    return 3 if found.notes else 0


def _match(args: argparse.Namespace) -> int:
    from casemate.cli import terminal
    from casemate.cli.terminal import printable
    from casemate.workflows import config, matching
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with (
        open_workspace(args.store, loaded) as workspace,
        terminal.progress(args.quiet) as progress,
    ):
        found = matching.match(loaded, workspace, args.places, progress=progress)
    for edge in found.proposed:
        names = [found.names[end] for end in (edge.source, edge.target)]
        print(printable(f"{edge.confidence:.2f}  {names[0]} -> {names[1]}: {edge.why}"))
    print(f"{found.looked} files compared, {len(found.proposed)} steps proposed")
    for note in found.notes:
        print(f"  {printable(note)}")
    return 3 if found.notes else 0


def _deploy(args: argparse.Namespace) -> int:
    import time

    from casemate.cli.terminal import printable
    from casemate.workflows import config, custody, hunting, lineage
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    now = time.time_ns() // 1000
    at = now if args.since is None else hunting.begin_of(args.since, now)
    with open_workspace(args.store, loaded) as workspace:
        node = lineage.deploy(
            workspace, args.node, args.name, by=args.by or custody.author(),
            version=args.version, at=at,
        )  # fmt: skip
    print(f"{printable(node.name)} answers with {printable(args.node)} since {hunting.moment(at)}")
    return 0


def _show(args: argparse.Namespace) -> int:
    import json

    from casemate.cli.terminal import printable, table
    from casemate.workflows import config, lineage
    from casemate.workflows.job import open_workspace

    loaded = config.read(args.config)
    with open_workspace(args.store, loaded) as workspace:
        if args.node is None:
            known = lineage.overview(workspace)
            if args.format == "json":
                print(json.dumps(lineage.overview_as_json(known), indent=1))
                return 0
            counted = ", ".join(f"{number:,} {kind}" for kind, number in known.counts.items())
            print(printable(counted) or "nothing is known yet: casemate lineage record -- COMMAND")
            rows = [(one.kind, one.name, one.id[:23], _when(one)) for one in known.newest]
            if rows:
                print()
                table(("kind", "name", "id", "when"), rows, wide=1)
            return 0
        shown = lineage.show(workspace, args.node)
    if args.format == "json":
        print(json.dumps(lineage.shown_as_json(shown), indent=1))
        return 0
    _node(shown.node)
    _branches("came from", shown.up)
    _branches("led to", shown.down)
    return 0


def _node(node: Node) -> None:
    from casemate.cli.terminal import printable

    print(f"{node.kind} {printable(node.name)}")
    print(f"  {printable(node.id)}{'  ' if node.at else ''}{_when(node)}")
    for name, value in sorted(node.facts.items()):
        print(f"  {printable(name)}: {printable(str(value))}")


def _branches(head: str, branches: Sequence[Branch]) -> None:
    from casemate.cli.terminal import printable

    print(f"\n{head}:" if branches else f"\n{head}: nothing on record")
    for one in branches:
        sure = "" if one.edge.confidence == 1 else f"  proposed, {one.edge.confidence:.2f}"
        why = f": {one.edge.why}" if one.edge.why else ""
        again = "  (as above)" if one.again else ""
        name = printable(f"{one.node.kind} {one.node.name}{sure}{why}")
        print(f"{'  ' * one.depth}{name}  {printable(one.node.id[:19])}{again}")


def _when(node: Node) -> str:
    from casemate.workflows.hunting import moment

    return moment(node.at) if node.at else ""
