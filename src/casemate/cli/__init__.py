"""The command line: one small module per verb, each with `add_parser` and `run`.

Parses, composes, prints; computes nothing. A verb's module imports nothing heavy at its top, so
that `casemate --help` stays near the start-up time of Python itself.
"""

from __future__ import annotations

import sys

from casemate.cli.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
