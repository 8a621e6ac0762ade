"""`casemate ci github|gitlab|pre-commit`: write a pipeline file that runs casemate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser("ci", help="write a pipeline file: SARIF upload, PR summary, cache")
    parser.add_argument("kind", choices=("github", "gitlab", "pre-commit"))
    parser.add_argument("--print", action="store_true", help="print it instead of writing it")
    parser.add_argument("--force", action="store_true", help="replace an existing file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file, never over one that is there unless forced."""
    from pathlib import Path

    from casemate.errors import UsageError
    from casemate.workflows.pipelines import pipeline

    files = pipeline(args.kind)
    if args.print:
        print("\n".join(files.values()), end="")
        return 0
    for name in files:
        if Path(name).exists() and not args.force:
            raise UsageError(
                f"{name} exists already", hint="casemate ci ... --print shows what it would be"
            )
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {name}")
    return 0
