"""`casemate init`: write a commented casemate.toml for what is in this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "init",
        help="find model and data here and write casemate.toml",
        description="Find model and data, learn column types and ranges, write casemate.toml. "
        "Asks nothing, runs nothing of yours.",
    )
    parser.add_argument("model", nargs="?", help="model file or target URI (default: found)")
    parser.add_argument("--data", help="table, .npz, image folder or file.py:function")
    parser.add_argument("--label", metavar="COLUMN", help="label column of a table")
    parser.add_argument("--force", action="store_true", help="replace an existing casemate.toml")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and say what was found and what is missing."""
    from pathlib import Path

    from casemate.cli.terminal import printable
    from casemate.workflows.initialise import initialise

    done = initialise(
        Path.cwd(), model=args.model, data=args.data, label=args.label, force=args.force
    )
    print(f"wrote {done.path.name}")
    print(f"  model  {printable(done.model or '(none)')}")
    print(f"  data   {printable(done.data or '(none)')}")
    if done.columns:
        print(f"  {done.columns} columns learned: correct what an attacker cannot change")
    for line in done.missing:
        print(f"missing: {printable(line)}")
    if not done.missing:
        print("next: casemate assess")
    return 3 if done.missing else 0
