"""The verifier joined into one file that a stranger can read whole and run on stock Python."""

from __future__ import annotations

import ast
from pathlib import Path

NAME = "verify_bundle.py"
PARTS = (
    "curve",
    "tree",
    "notes",
    "faults",
    "folder",
    "items",
    "statements",
    "records",
    "proof",
    "program",
)
"""Modules in the order in which they build on one another."""
_HEAD = '''\
#!/usr/bin/env python3
"""Verify an evidence bundle of casemate: Python 3.8 or newer, standard library only.

    python3 -I -S verify_bundle.py FOLDER --key case.pub
    python3 -I -S verify_bundle.py ITEM.tlog-proof --key case.pub [--file ITEM]

Exit code 0: whole; 1: something was changed, each thing by name; 3: nothing speaks against it, but
something is open, such as whose key it is. It only reads, follows no link and starts nothing. A
copy lies in each bundle; use one of your own, as who changes a bundle can change that too.

`seal/checkpoint` (a C2SP checkpoint, Ed25519) signs size and root of a Merkle tree (RFC 9162). Its
leaves are the lines of `seal/leaves.jsonl`: one for each item, with a random salt and the SHA-256
of its file. An item that is withheld leaves the hash of its line. Signed statements (DSSE, in-toto)
say how many items each producer gave, and what is withheld and why. Everything else follows.
"""

from __future__ import annotations

'''
_TAIL = '\n\nif __name__ == "__main__":\n    sys.exit(main())\n'


def assemble() -> bytes:
    """Return the verifier as one file."""
    imports: set[str] = set()
    bodies = []
    for name in PARTS:
        text = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        lines = text.splitlines()
        tree = ast.parse(text)
        begin = 0
        for statement in tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                if getattr(statement, "module", None) != "__future__":
                    imports |= _wanted(statement)
            elif not (isinstance(statement, ast.Expr) or _is_for_types(statement)):
                break
            begin = statement.end_lineno or 0
        title = ast.get_docstring(tree) or ""
        bodies.append(f"# {name}: {title}\n" + "\n".join(lines[begin:]).rstrip() + "\n")
    return (_HEAD + "\n".join(sorted(imports)) + "\n\n\n" + "\n\n".join(bodies) + _TAIL).encode()


def _is_for_types(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def _wanted(statement: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(statement, ast.Import):
        return {ast.unparse(statement)}
    if (statement.module or "").startswith("casemate."):
        return set()
    names = [one.name for one in statement.names if one.name != "TYPE_CHECKING"]
    return {f"from {statement.module} import {name}" for name in names}
