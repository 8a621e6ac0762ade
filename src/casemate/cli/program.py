"""The parser of all verbs, and the one place where an error becomes a line and an exit code.

Exit codes: 0 clean, 1 findings at or above the bar, 2 usage, 3 incomplete or interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, cast

import casemate
from casemate.cli import (
    assess,
    attack,
    case,
    ci,
    console,
    detect,
    explain,
    gate,
    guard,
    importing,
    init,
    lineage,
    redteam,
    report,
    rules,
    scan,
    threats,
    verify,
    vuln,
)
from casemate.cli.terminal import printable
from casemate.errors import CasemateError, CatalogError, MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VERBS = (
    init,
    scan,
    threats,
    attack,
    assess,
    gate,
    report,
    explain,
    ci,
    guard,
    importing,
    detect,
    rules,
    redteam,
    case,
    console,
    verify,
    vuln,
    lineage,
)

_EPILOG = """\
exit codes: 0 clean, 1 findings at or above the bar, 2 usage, 3 incomplete or interrupted
start here: casemate init, then casemate assess
"""


def build() -> argparse.ArgumentParser:
    """Return the parser with every verb on it."""
    parser = argparse.ArgumentParser(
        prog="casemate",
        description="Find, prove and fix what an attacker can do to a machine-learning system.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"casemate {casemate.__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = build().parse_args(argv)
    run = cast("Callable[[argparse.Namespace], int]", args.run)
    code = 3
    try:
        code = run(args)
        sys.stdout.flush()
        return code
    except SystemExit:
        print("error: the model's code tried to end the program", file=sys.stderr)
        return 3
    except (UsageError, MissingExtra, CatalogError) as error:
        return _complain(error, 2)
    except CasemateError as error:
        return _complain(error, 3)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 3
    except BrokenPipeError:
        # The reader went away, as `| head` does. Python would complain again while flushing at
        # exit, so what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except Exception:  # noqa: BLE001 - a crash must not leave with the code of a finding
        import traceback

        traceback.print_exc()
        print("error: this is a fault of casemate; please report it", file=sys.stderr)
        return 3


def _complain(error: CasemateError, code: int) -> int:
    # Messages name files and what is in them, both of which may be hostile.
    print(f"error: {printable(str(error))}", file=sys.stderr)
    if error.hint:
        print(f"hint: {printable(error.hint)}", file=sys.stderr)
    return code
